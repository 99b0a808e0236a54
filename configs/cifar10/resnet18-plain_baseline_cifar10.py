_base_ = "resnet18_baseline_cifar10.py"
# Images as they are: neither cropped nor flipped.
train_pipeline = {{_base_.test_pipeline}}
train_dataloader = dict(dataset=dict(pipeline={{_base_.test_pipeline}}))
