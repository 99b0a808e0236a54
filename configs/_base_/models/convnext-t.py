# ConvNeXt-T and its initialization as mmpretrain has them.
model = dict(
    type="ImageClassifier",
    backbone=dict(type="ConvNeXt", arch="tiny", drop_path_rate=0.1),
    head=dict(
        type="BatchLinearClsHead",
        num_classes=1000,
        in_channels=768,
        init_cfg=None,
        loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    init_cfg=dict(type="TruncNormal", layer=["Conv2d", "Linear"], std=0.02, bias=0.0),
)
