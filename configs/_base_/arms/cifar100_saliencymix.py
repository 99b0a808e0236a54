_base_ = "../datasets/cifar100.py"
data_preprocessor = dict(
    batch_augments=dict(
        augments=dict(
            type="SaliencyMix",
            alpha=1.0,
            mean={{_base_.data_preprocessor.mean}},
            std={{_base_.data_preprocessor.std}},
            # Whatever the images come from, the data preprocessor makes them RGB.
            channel_order="rgb",
        ),
        probs=0.5,
    )
)
