_base_ = ["baseline.py", "../_base_/arms/non-salient.py"]
data_preprocessor = dict(batch_augments={{_base_.mixing}})
