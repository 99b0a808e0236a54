# The method as the paper's text has it: a box for each image, around the peak of its true map, kept inside.
mixing = dict(
    augments=dict(
        type="SaliencyMix",
        alpha=1.0,
        mean=[125.3, 123.0, 113.9],
        std=[63.0, 62.1, 66.7],
        channel_order="rgb",
        border="shift",
    ),
    probs=0.5,
)
