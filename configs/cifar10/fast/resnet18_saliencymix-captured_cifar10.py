# resnet18_saliencymix_cifar10.py with every step replayed from a CUDA graph, if one GPU trains; otherwise the same.
_base_ = "resnet18_saliencymix_cifar10.py"
optim_wrapper = dict(optimizer=dict(fused=True))
custom_hooks = [dict(type="ChannelsLastHook"), dict(type="CapturedStepHook")]
