_base_ = "guidedmixup.py"
batch_augments = dict(
    augments=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    probs=1.0,
)
