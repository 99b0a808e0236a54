_base_ = "official-saliencymix.py"
batch_augments = dict(probs=1.0)
