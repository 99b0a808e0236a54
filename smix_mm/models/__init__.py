"""A backbone, a data preprocessor and a head that mmpretrain lacks."""

from .wide_resnet import WideResNet

__all__ = ["WideResNet"]
