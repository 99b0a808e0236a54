# COCO 2017: trained on train2017 (118,287 images), tested on val2017 (5,000). Its folder is SMIX_COCO, or data/coco.
_base_ = "mmdet::_base_/datasets/coco_detection.py"
data_root = "{{$SMIX_COCO:data/coco}}/"
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=data_root + "annotations/instances_val2017.json")
test_evaluator = val_evaluator
