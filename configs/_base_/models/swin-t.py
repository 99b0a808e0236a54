# Swin-T and its initialization as mmpretrain has them.
model = dict(
    type="ImageClassifier",
    backbone=dict(type="SwinTransformer", arch="tiny", img_size=224, drop_path_rate=0.2),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="BatchLinearClsHead",
        num_classes=1000,
        in_channels=768,
        init_cfg=None,
        loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    init_cfg=[
        dict(type="TruncNormal", layer="Linear", std=0.02, bias=0.0),
        dict(type="Constant", layer="LayerNorm", val=1.0, bias=0.0),
    ],
)
