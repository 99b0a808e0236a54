# resnet18_saliencymix_cifar10.py with the map of each image before its crop: no peak lies in the padding.
_base_ = "resnet18_saliencymix_cifar10.py"
data_preprocessor = dict(saliency_before_crop=True)
