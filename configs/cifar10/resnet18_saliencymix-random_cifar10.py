# The control: cut around a random pixel, as CutMix does; all else is SaliencyMix.
_base_ = "resnet18_saliencymix_cifar10.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(source="random")))
