_base_ = "resnet50_saliencymix_in1k.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(label="saliency")))
