_base_ = ["baseline.py", "../_base_/arms/shuffled-shift.py"]
data_preprocessor = dict(batch_augments={{_base_.mixing}})
