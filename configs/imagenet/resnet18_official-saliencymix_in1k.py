_base_ = ["resnet18_baseline_in1k.py", "../_base_/augments/official-saliencymix_imagenet.py"]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
