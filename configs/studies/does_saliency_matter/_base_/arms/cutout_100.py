_base_ = "cutout.py"
mixing = dict(augments=dict(length=8))
