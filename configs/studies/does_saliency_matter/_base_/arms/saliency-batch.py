# Differs from the released code in the map alone.
_base_ = "saliency-clip.py"
mixing = dict(augments=dict(box_per="batch", lam_per="batch"))
