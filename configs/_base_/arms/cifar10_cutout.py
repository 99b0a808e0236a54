_base_ = "../datasets/cifar10.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(type="Cutout", length=16), probs=1.0))
