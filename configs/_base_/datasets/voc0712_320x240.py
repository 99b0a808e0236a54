# VOC07+12 with images small enough for a CPU.
_base_ = "voc0712.py"
scale = (320, 240)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
for pipeline in (
    train_pipeline,
    test_pipeline,
    *(part.pipeline for part in _base_.train_dataloader.dataset.datasets),
    _base_.val_dataloader.dataset.pipeline,
    _base_.test_dataloader.dataset.pipeline,
):
    next(transform for transform in pipeline if transform.type == "Resize").scale = scale
del pipeline
