_base_ = "../datasets/cifar10.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(type="CutMix", alpha=1.0), probs=0.5))
