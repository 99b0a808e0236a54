# CIFAR-100 in the memory of the training device; normalised as CIFAR-10 is, which is the paper's protocol.
_base_ = "cifar10_in_memory.py"
data_root = "{{$SMIX_CIFAR100:data/cifar100}}"
data_preprocessor = dict(num_classes=100)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
