"""The labels of a batch in one tensor: a data preprocessor that makes them and a head that takes them."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import torch
from mmpretrain.models import ClsDataPreprocessor, LinearClsHead
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
class BatchClsDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's ``ClsDataPreprocessor``, which in training hands the labels of a batch over together.

    Same arguments, same images, same labels. ``ClsDataPreprocessor`` makes one-hot labels sample by
    sample, with several GPU kernels each, and writes them back into the samples; here a batch of labels
    is one copy to the GPU and one scatter there, and goes on as a :class:`LabelBatch`. Meant for heads
    that take one, such as :class:`BatchLinearClsHead`; any other head sees a sequence of ``DataSample``.
    Samples with several labels, with scores or without a label, and every batch outside of training, go
    the way of ``ClsDataPreprocessor``.
    """

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise and augment a batch.

        Args:
            data: ``inputs`` and ``data_samples``, as ``ClsDataPreprocessor`` takes them.
            training: whether to apply the batch augmentations.

        Returns:
            ``inputs``, float32 (N, 3, H, W), and ``data_samples``, a :class:`LabelBatch` in training.

        Raises:
            ValueError: a label is no class number, or one-hot labels are needed and nothing says of how
                many classes.
        """
        samples: Any = data.get("data_samples")
        labels = _single_labels(samples) if training else None
        if labels is None:
            return super().forward(data, training)
        inputs, scores = super().forward({"inputs": data["inputs"]}, training)["inputs"], None
        on_device = labels.to(inputs.device, non_blocking=True)
        if self.to_onehot:
            classes = self.num_classes or samples[0].get("num_classes")
            _check_labels(labels, classes)
            scores = inputs.new_zeros(len(labels), classes).scatter_(1, on_device[:, None], 1.0)
            if self.batch_augments is not None:
                inputs, scores = self.batch_augments(inputs, scores)
        return dict(inputs=inputs, data_samples=LabelBatch(on_device, scores))


def _single_labels(samples: Any) -> Tensor | None:
    """The labels on the CPU, int64 (N,), if every sample has exactly one and no score."""
    if not samples or not all(isinstance(sample, DataSample) and "gt_label" in sample for sample in samples):
        return None
    labels = [sample.gt_label for sample in samples]
    if any(label.numel() != 1 or label.is_cuda for label in labels) or any("gt_score" in sample for sample in samples):
        return None
    return torch.cat([label.reshape(1) for label in labels]).long()


def _check_labels(labels: Tensor, classes: int | None) -> None:
    if not classes:
        raise ValueError("one-hot labels are needed, but data_preprocessor has no num_classes; set it in the config")
    outside = labels[(labels < 0) | (labels >= classes)]
    if len(outside):
        raise ValueError(
            f"labels should be class numbers from 0 to {classes - 1}, got {outside[0].item()}; make "
            "data_preprocessor.num_classes fit the data set"
        )


@MODELS.register_module()
class BatchLinearClsHead(LinearClsHead):
    """mmpretrain's ``LinearClsHead``, for labels that come as a :class:`LabelBatch`.

    Same weights, same names, same loss. The labels of a batch are not taken apart into one object a
    image and put together again, and predictions leave the GPU together. Labels that come in
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
