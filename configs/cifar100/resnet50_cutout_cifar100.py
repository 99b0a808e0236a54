_base_ = ["resnet50_baseline_cifar100.py", "../_base_/augments/cutout_cifar100.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
