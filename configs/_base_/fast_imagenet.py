# Schedule and runtime of the short recipe: 100 epochs, cosine, bfloat16, channels last. The rest, such as batch and
# weight decay, is the paper's.
_base_ = ["schedules/imagenet_300e.py", "runtime.py"]
max_epochs = 100
optim_wrapper = dict(type="Bfloat16OptimWrapper")
param_scheduler = dict(
    _delete_=True, type="CosineAnnealingLR", by_epoch=True, T_max=max_epochs, convert_to_iter_based=True
)
train_cfg = dict(max_epochs=max_epochs)
custom_hooks = [dict(type="ChannelsLastHook")]
# Every batch has the same shape, so cuDNN's search for the fastest kernels pays off.
env_cfg = dict(cudnn_benchmark=True)
