_base_ = ["resnext50-32x4d-100e_baseline_in1k.py", "../_base_/augments/saliencymix_imagenet.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
