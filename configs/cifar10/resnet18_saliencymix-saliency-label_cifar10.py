_base_ = "resnet18_saliencymix_cifar10.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(label="saliency")))
