# MMDetection's own VOC07+12 schedule, started from a published backbone. Which one:
#   SMIX_BACKBONE=backbone.pth python tools/train.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py
# or --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
_base_ = "mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py"
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
backbone_checkpoint = "{{$SMIX_BACKBONE:backbone.pth}}"
model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=backbone_checkpoint)))
custom_hooks = [dict(type="LoadProofHook"), dict(type="BoxCheckHook")]
