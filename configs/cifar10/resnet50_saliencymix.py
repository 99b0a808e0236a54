_base_ = ["resnet50_baseline.py", "../_base_/augments/saliencymix.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
