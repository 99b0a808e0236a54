_base_ = ["wrn-28-10-plain_baseline_cifar10.py", "../_base_/augments/official-saliencymix.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
