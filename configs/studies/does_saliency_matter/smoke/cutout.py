_base_ = ["baseline.py", "../_base_/arms/cutout.py"]
data_preprocessor = dict(batch_augments={{_base_.mixing}})
