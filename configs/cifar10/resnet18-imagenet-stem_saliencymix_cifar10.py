_base_ = ["resnet18-imagenet-stem_baseline_cifar10.py", "../_base_/augments/saliencymix.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
