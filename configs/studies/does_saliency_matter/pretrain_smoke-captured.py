# Smoke run of pretrain_captured.py; the rest is that of pretrain_smoke.py.
_base_ = "pretrain_smoke.py"
optim_wrapper = dict(optimizer=dict(fused=True))
custom_hooks = [dict(type="ChannelsLastHook"), dict(type="CapturedStepHook")]
