_base_ = ["resnet50_baseline_in1k.py", "../_base_/augments/mixup.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
