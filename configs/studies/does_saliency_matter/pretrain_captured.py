# The same with every step of a GPU replayed from a CUDA graph, for the arms where that is possible.
_base_ = "pretrain_cifar10.py"
optim_wrapper = dict(optimizer=dict(fused=True))
custom_hooks = [dict(type="ChannelsLastHook"), dict(type="CapturedStepHook")]
