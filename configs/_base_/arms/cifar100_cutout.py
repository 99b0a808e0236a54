_base_ = "../datasets/cifar100.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(type="Cutout", length=8), probs=1.0))
