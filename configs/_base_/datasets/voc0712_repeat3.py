# One epoch goes through VOC07+12 three times, as in MMDetection's own configs.
_base_ = "voc0712.py"
train_dataloader = dict(
    dataset=dict(_delete_=True, type="RepeatDataset", times=3, dataset=_base_.train_dataloader.dataset)
)
