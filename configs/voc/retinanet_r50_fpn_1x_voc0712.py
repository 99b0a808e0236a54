# A second kind of detector, one stage and focal loss, by the same schedule.
_base_ = ["../_base_/models/retinanet_r50_fpn.py", "../_base_/datasets/voc0712_repeat3.py", "schedule.py"]
model = dict(bbox_head=dict(num_classes=20))
