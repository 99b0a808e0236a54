_base_ = ["baseline.py", "../_base_/arms/random-shift.py"]
data_preprocessor = dict(batch_augments={{_base_.mixing}})
