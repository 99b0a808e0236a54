# Smoke run: two iterations of each detector. It shows that every step works; its figures mean nothing.
_base_ = "_base_/arms.py"
name = "Smoke run, no result: transfer"
arms = {
    arm: dict(config="pretrain_smoke-transfer.py", cfg_options=_base_.arms[arm].cfg_options)
    for arm in ("baseline", "cutmix", "official", "saliency-shift")
}
arms["_delete_"] = True
pretraining_seeds = [0]
detectors = dict(bccd="smoke_bccd.py", voc="smoke_voc.py")
sheet = "saliency-shift"
