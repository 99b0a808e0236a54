# The short recipe for Swin-T and ConvNeXt-T: 100 epochs, 5 of them warm-up.
_base_ = ["schedules/imagenet_300e_adamw.py", "runtime.py"]
optim_wrapper = dict(type="Bfloat16OptimWrapper")
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, end=5, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min=2.5e-6, by_epoch=True, begin=5, T_max=95, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=100)
custom_hooks = [dict(type="ChannelsLastHook")]
env_cfg = dict(cudnn_benchmark=True)
