# Swin-T as mmpretrain has it. AdamW, its warm-up and what is not decayed are those of MMDetection's own Swin configs.
_base_ = "faster-rcnn_r50_fpn_1x_voc0712.py"
model = dict(
    backbone=dict(
        _delete_=True,
        type="mmpretrain.SwinTransformer",
        arch="tiny",
        drop_path_rate=0.2,
        out_indices=(0, 1, 2, 3),
        # Detectors see maps that no window divides; classifiers shrink the window instead.
        pad_small_map=True,
        init_cfg=_base_.model.backbone.init_cfg,
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.0))),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000),
    *_base_.param_scheduler,
]
# A classifier has a norm after its last stage alone; those after the first three are new.
custom_hooks = [dict(type="LoadProofHook", new=["norm[0-2].*"])]
