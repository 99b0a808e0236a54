# ties: very many pixels share the least value.
_base_ = "resnet18_saliencymix_cifar10.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(source="non_salient", target="salient", ties="random")))
