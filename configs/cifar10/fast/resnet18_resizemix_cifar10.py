_base_ = ["resnet18_baseline_cifar10.py", "../../_base_/augments/resizemix.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
