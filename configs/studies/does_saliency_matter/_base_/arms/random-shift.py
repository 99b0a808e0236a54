_base_ = "saliency-shift.py"
mixing = dict(augments=dict(source="random"))
