_base_ = ["wrn-28-10_baseline_cifar10.py", "../_base_/augments/cutout.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
