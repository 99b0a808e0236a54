# With CIFAR's mean and std. The data preprocessor has converted the images to RGB.
batch_augments = dict(
    augments=dict(
        type="GuidedMixup",
        mean=[125.3, 123.0, 113.9],
        std=[63.0, 62.1, 66.7],
        channel_order="rgb",
    ),
    probs=0.5,
)
