# Smoke run: the stem that a detector can start from; the rest is that of pretrain_smoke.py.
_base_ = "pretrain_smoke.py"
model = dict(
    backbone=dict(_delete_=True, type="ResNet", depth=18, num_stages=4, out_indices=(3,), style="pytorch"),
    head=dict(in_channels=512),
)
