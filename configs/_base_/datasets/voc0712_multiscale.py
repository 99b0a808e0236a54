# VOC07+12 as MoCo and its successors train on it: short side from 480 to 800, drawn for each image, tested at 800; long
# side at most 1333.
_base_ = "voc0712.py"
resize = dict(type="RandomChoiceResize", scales=[(1333, side) for side in range(480, 801, 32)], keep_ratio=True)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
for pipeline in (train_pipeline, *(part.pipeline for part in _base_.train_dataloader.dataset.datasets)):
    pipeline[2] = resize
for pipeline in (test_pipeline, _base_.val_dataloader.dataset.pipeline, _base_.test_dataloader.dataset.pipeline):
    pipeline[1].scale = (1333, 800)
scale = (1333, 800)
del resize, pipeline
