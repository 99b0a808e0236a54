_base_ = "cutout.py"
batch_augments = dict(augments=dict(length=8))
