# ConvNeXt-T as mmpretrain has it; its stages have Swin-T's channels, and only its last one a norm in a classifier.
_base_ = "faster-rcnn_swin-t_fpn_1x_voc0712.py"
model = dict(
    backbone=dict(
        _delete_=True,
        type="mmpretrain.ConvNeXt",
        arch="tiny",
        drop_path_rate=0.4,
        out_indices=[0, 1, 2, 3],
        gap_before_final_norm=False,
        init_cfg=_base_.model.backbone.init_cfg,
    )
)
