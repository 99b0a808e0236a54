_base_ = ["resnext50-32x4d_baseline_in1k.py", "../_base_/augments/mixup_imagenet.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
