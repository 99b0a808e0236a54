"""The labels of a batch in one tensor, and a head that takes them so."""

from __future__ import annotations

from typing import Any, Sequence

import torch
from mmpretrain.models import LinearClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor


class LabelBatch(Sequence):
    """Labels of a batch; to whoever asks for single ones, a sequence of mmpretrain's ``DataSample``.

    Args:
        labels: class numbers, int64 (N,).
        scores: (N, K), or None.
    """

    def __init__(self, labels: Tensor, scores: Tensor | None = None) -> None:
        # A loss takes class probabilities as floats alone; one-hot labels come as integers.
        if scores is not None and not scores.is_floating_point():
            scores = scores.float()
        self.labels = labels
        self.scores = scores

    @property
    def targets(self) -> Tensor:
        """What the loss compares with: the scores where there are any, else the labels."""
        return self.labels if self.scores is None else self.scores

    def cpu(self) -> LabelBatch:
        """The same on the CPU."""
        return LabelBatch(self.labels.cpu(), None if self.scores is None else self.scores.cpu())

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of a batch of {len(self)}")
        sample = DataSample().set_gt_label(self.labels[index].view(1))
        return sample if self.scores is None else sample.set_gt_score(self.scores[index])


@MODELS.register_module()
class BatchLinearClsHead(LinearClsHead):
    """mmpretrain's ``LinearClsHead``, for labels that come as a :class:`LabelBatch`.

    Same weights, same names, same loss. The labels of a batch are not taken apart into one object a
    picture and put together again, and predictions leave the GPU together. Labels that come in
    another form it takes as ``LinearClsHead`` does.
    """

    def _get_loss(self, cls_score: Tensor, data_samples: Sequence[DataSample], **kwargs: Any) -> dict[str, Tensor]:
        if not isinstance(data_samples, LabelBatch) or self.cal_acc:
            return super()._get_loss(cls_score, data_samples, **kwargs)
        loss = self.loss_module(cls_score, data_samples.targets, avg_factor=cls_score.size(0), **kwargs)
        return dict(loss=loss)

    def _get_predictions(self, cls_score: Tensor, data_samples: Sequence[DataSample | None] | None) -> list[DataSample]:
        if isinstance(data_samples, LabelBatch):
            cls_score, data_samples = cls_score.to("cpu", torch.float32), data_samples.cpu()
        return super()._get_predictions(cls_score, data_samples)
