_base_ = "saliency-clip.py"
mixing = dict(augments=dict(type="ShuffledSaliencyMix"))
