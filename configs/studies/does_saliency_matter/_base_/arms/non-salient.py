# The least value is shared by many pixels, and the first of them is most often near the top.
_base_ = "saliency-shift.py"
mixing = dict(augments=dict(source="non_salient", ties="random"))
