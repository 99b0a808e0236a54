_base_ = "../datasets/imagenet.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(type="Mixup", alpha=1.0), probs=1.0))
