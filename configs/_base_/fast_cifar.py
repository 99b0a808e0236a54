# Schedule and runtime of the fast path on a GPU: the paper's schedule, in bfloat16 and channels last.
# It goes with a dataset of ./datasets/*_in_memory.py and, in the model, head=dict(type="BatchLinearClsHead").
_base_ = ["schedules/cifar_200e.py", "runtime.py"]
optim_wrapper = dict(type="Bfloat16OptimWrapper")
custom_hooks = [dict(type="ChannelsLastHook")]
# Every batch has the same shape, so cuDNN's search for the fastest kernels pays off.
env_cfg = dict(cudnn_benchmark=True)
