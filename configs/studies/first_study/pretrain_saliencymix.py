_base_ = "pretrain_baseline.py"
data_preprocessor = dict(
    batch_augments=dict(
        augments=dict(
            type="SaliencyMix",
            alpha=1.0,
            mean={{_base_.data_preprocessor.mean}},
            std={{_base_.data_preprocessor.std}},
        ),
        probs=0.5,
    )
)
