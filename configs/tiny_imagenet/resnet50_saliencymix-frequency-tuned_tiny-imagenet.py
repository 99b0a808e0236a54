_base_ = "resnet50_saliencymix_tiny-imagenet.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(saliency=dict(type="FrequencyTunedSaliency"))))
