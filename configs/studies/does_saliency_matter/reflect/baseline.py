# Not in the list: padded with the mirrored image before the crop, so that there is no black to be salient.
_base_ = "../cifar10/baseline.py"
data_preprocessor = dict(type="ReflectClsDataPreprocessor")
