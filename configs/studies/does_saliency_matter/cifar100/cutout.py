_base_ = ["baseline.py", "../_base_/arms/cutout_100.py"]
data_preprocessor = dict(batch_augments={{_base_.mixing}})
