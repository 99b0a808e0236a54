# Smoke run: every arm for six iterations of a narrow net. It shows that every step works; its figures mean nothing.
_base_ = "_base_/arms.py"
name = "Smoke run, no result: does saliency matter?"
arms = {arm: dict(config="pretrain_smoke.py") for arm in _base_.arms}
pretraining_seeds = [0]
metric = "accuracy/top1"
sheet = "saliency-shift"
