# For Swin-T and ConvNeXt-T: AdamW, 20 epochs of warm-up, cosine. The rate is that of their papers for 256 images a step
# (1e-3 for 1,024); their label smoothing and other augmentations are left out, so that arms differ in one thing.
_base_ = "imagenet_300e.py"
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=2.5e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys={".relative_position_bias_table": dict(decay_mult=0.0)},
    ),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, end=20, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min=2.5e-6, by_epoch=True, begin=20, T_max=280, convert_to_iter_based=True),
]
