"""Labels of a batch in one tensor, with a data preprocessor and a head that use them."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import torch
from mmpretrain.models import ClsDataPreprocessor, LinearClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor


class LabelBatch(Sequence):
    """Labels of a batch in one tensor, and at the same time a sequence of mmpretrain's ``DataSample``.

    Args:
        labels: class numbers, int64 (N,).
        scores: (N, K), or None. Integers become float32.
    """

    def __init__(self, labels: Tensor, scores: Tensor | None = None) -> None:
        # A loss accepts class probabilities only as floats, but one-hot labels are integers.
        if scores is not None and not scores.is_floating_point():
            scores = scores.float()
        self.labels = labels
        self.scores = scores

    @property
    def targets(self) -> Tensor:
        """The targets of the loss: the scores if given, else the labels."""
        return self.labels if self.scores is None else self.scores

    def cpu(self) -> LabelBatch:
        """The same labels on the CPU."""
        return LabelBatch(self.labels.cpu(), None if self.scores is None else self.scores.cpu())

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        sample = DataSample().set_gt_label(self.labels[index].view(1))
        return sample if self.scores is None else sample.set_gt_score(self.scores[index])


@MODELS.register_module()
class BatchClsDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's ``ClsDataPreprocessor``, which in training returns the labels of a batch in one tensor.

    Arguments, images and labels are the same. A batch of labels takes one copy to the GPU and one scatter there,
    instead of several GPU kernels a sample, and becomes a :class:`LabelBatch`: for :class:`BatchLinearClsHead` one
    tensor, for any other head a sequence of ``DataSample``. Samples with several labels, with scores or without a
    label, and every batch outside of training, are left to ``ClsDataPreprocessor``.
    """

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalize and augment a batch.

        Args:
            data: ``inputs`` and ``data_samples``, as for ``ClsDataPreprocessor``; or class numbers, int64 (N,) on the
                CPU, which become a :class:`LabelBatch` outside of training too.
            training: whether to apply the batch augmentations. Defaults to False.

        Returns:
            ``inputs``, float32 (N, 3, H, W), and ``data_samples``, a :class:`LabelBatch` in training.

        Raises:
            ValueError: a label is not a class number, or one-hot labels are needed and the number of
                classes is not known.
        """
        samples: Any = data.get("data_samples")
        labels = _single_labels(samples) if training or isinstance(samples, Tensor) else None
        if labels is None:
            return super().forward(data, training)
        inputs, scores = super().forward({"inputs": data["inputs"]}, training)["inputs"], None
        on_device = labels.to(inputs.device, non_blocking=True)
        if self.to_onehot:
            classes = self.num_classes or (None if isinstance(samples, Tensor) else samples[0].get("num_classes"))
            if not classes:
                advice = "set it in the config"
                raise ValueError(f"data_preprocessor should have num_classes for one-hot labels, got none; {advice}")
            outside = labels[(labels < 0) | (labels >= classes)]
            if len(outside):
                raise ValueError(
                    f"labels should be class numbers from 0 to {classes - 1}, got {outside[0].item()}; set "
                    "data_preprocessor.num_classes to the data set's number of classes"
                )
            scores = inputs.new_zeros(len(labels), classes).scatter_(1, on_device[:, None], 1.0)
            if training and self.batch_augments is not None:
                inputs, scores = self.batch_augments(inputs, scores)
        return dict(inputs=inputs, data_samples=LabelBatch(on_device, scores))


def _single_labels(samples: Any) -> Tensor | None:
    """The labels on the CPU, int64 (N,), if every sample has exactly one and no score, or if given as such a tensor."""
    if isinstance(samples, Tensor):
        return samples
    if not samples or not all(isinstance(sample, DataSample) and "gt_label" in sample for sample in samples):
        return None
    labels = [sample.gt_label for sample in samples]
    if any(label.numel() != 1 or label.is_cuda for label in labels) or any("gt_score" in sample for sample in samples):
        return None
    return torch.cat([label.reshape(1) for label in labels]).long()


@MODELS.register_module()
class BatchLinearClsHead(LinearClsHead):
    """mmpretrain's ``LinearClsHead`` with a faster path for labels in a :class:`LabelBatch`.

    Weights, their names and the loss are the same. Labels in another form are left to ``LinearClsHead``.
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
