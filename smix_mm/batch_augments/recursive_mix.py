"""RecursiveMix for mmpretrain: the batch augmentation and its history, the classifier and its consistency loss."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple, Sequence

import torch
import torch.nn.functional as F
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import BATCH_AUGMENTS, MODELS
from torch import Tensor, nn

from ..mixing.rivals import Box, check_share, draw_region, paste_previous
from ..saliency.normalization import check_finite
from ..utils.errors import UsageError
from .base import BatchAugment


class History(NamedTuple):
    """The last mixed batch; never changed, only replaced.

    Attributes:
        images, scores: as they were mixed.
        logits: what the network returned for them, (N, K); None without :class:`RecursiveMixClassifier`.
    """

    images: Tensor
    scores: Tensor
    logits: Tensor | None = None


@BATCH_AUGMENTS.register_module()
class RecursiveMix(BatchAugment):
    """RecursiveMix: paste the last mixed batch, resized, into this one; see :func:`smix_mm.recursive_mix`.

    Without :class:`RecursiveMixClassifier` this is RecursiveMix without its consistency loss.

    The last batch that this object mixed, on the same rank, is its history. The released code forgets it at the end
    of an epoch, here it goes on. :class:`~smix_mm.engine.ExactCheckpointHook` saves it, which makes a checkpoint
    larger by one batch (147 MiB for 256 images of 224 pixels); after a resume by anything else, or with another
    number of processes, the first batch is not mixed. Every batch has to be finite, because NaN would be pasted from
    batch to batch; this check waits for a GPU.

    Args:
        alpha: the largest share of the area, above 0 and at most 1. Defaults to 0.5, the released code's.

    Raises:
        ValueError: ``alpha`` is not as above.
    """

    def __init__(self, alpha: float = 0.5) -> None:
        self.alpha = check_share(alpha)
        self.history: History | None = None
        self.region: tuple[Box, History | None] | None = None

    def mix_checked(self, batch_inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        check_finite(batch_inputs)
        height, width = batch_inputs.shape[2:]
        box = draw_region(height, width, self.alpha, self.seeded())
        mixed, mixed_scores = batch_inputs.clone(), scores.clone()
        if self.history is not None:
            mixed, mixed_scores = paste_previous(batch_inputs, scores, self.history.images, self.history.scores, box)
        self.region = box, self.history
        self.history = History(mixed, mixed_scores)
        return mixed, mixed_scores

    def take_region(self) -> tuple[Box, History | None] | None:
        """The box of the batch that was just mixed, and the history before it; None if it was not mixed here."""
        region, self.region = self.region, None
        return region

    def state_dict(self) -> dict[str, Tensor]:
        """The history, for a checkpoint."""
        history = {} if self.history is None else self.history._asdict()
        return {name: value.detach().cpu() for name, value in history.items() if value is not None}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.history = History(**state) if state else None


@MODELS.register_module()
class RecursiveMixClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` with RecursiveMix's consistency loss.

    The pasted region of the last feature map, averaged by RoIAlign and classified by a linear layer of its own, should
    give what the network gave for the whole previous batch: ``omega * area share * KL(softmax(previous) || region)``,
    the mean over the images, is added to the loss. Batches that :class:`RecursiveMix` did not mix have no such loss.
    Weights, predictions and their names are otherwise those of ``ImageClassifier``, and so are its first weights for
    the same seed.

    The released code uses the cross-entropy, whose gradients are equal, and gives RoIAlign the box with rows and
    columns swapped; here the box is the region that was pasted.

    Args:
        omega: weight of the loss, at least 0. Defaults to 0.5, the released code's; its command for CIFAR-10 has 0.1.
        **options: of ``ImageClassifier``; ``head`` has ``in_channels`` and ``num_classes``.

    Raises:
        UsageError: ``omega`` is not as above; in training, the data preprocessor has no :class:`RecursiveMix`.
    """

    region_fc: nn.Linear
    omega: float

    def __init__(self, omega: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(omega, bool) or not isinstance(omega, Real) or not 0 <= omega < float("inf"):
            raise UsageError(f"omega should be a number of at least 0, got {omega!r}")
        self.omega = float(omega)
        # All other weights are those of a classifier without this layer.
        with torch.random.fork_rng(devices=()):
            self.region_fc = nn.Linear(self.head.in_channels, self.head.num_classes)

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """The losses of the head, and ``loss_consistency``."""
        augments: Sequence[Any] = getattr(getattr(self.data_preprocessor, "batch_augments", None), "augments", ())
        recursive = next((each for each in augments if isinstance(each, RecursiveMix)), None)
        if recursive is None:
            raise UsageError(
                "RecursiveMixClassifier needs RecursiveMix in data_preprocessor.batch_augments, got none; add it, or "
                "use ImageClassifier"
            )
        maps = self.extract_feat(inputs, stage="backbone")
        features = self.neck(maps) if self.with_neck else maps
        losses = self.head.loss(features, data_samples)
        region = recursive.take_region()
        losses["loss_consistency"] = self.consistency(inputs, maps[-1].float(), *(region or ((0, 0, 0, 0), None)))
        if region is not None and recursive.history is not None:
            with torch.no_grad():
                recursive.history = recursive.history._replace(logits=self.head(features).float())
        return losses

    def consistency(self, inputs: Tensor, maps: Tensor, box: Box, history: History | None) -> Tensor:
        """The weighted loss; 0 without a region or a previous prediction, but with gradients, which DDP expects."""
        from torchvision.ops import roi_align

        height, width = inputs.shape[2:]
        down, across = maps.shape[2] / height, maps.shape[3] / width
        y1, x1, y2, x2 = box
        region = maps.new_tensor([[x1 * across, y1 * down, x2 * across, y2 * down]])
        logits = self.region_fc(roi_align(maps, list(region.expand(len(maps), 1, 4)), 1, aligned=True).flatten(1))
        if history is None or history.logits is None:
            return logits.sum() * 0
        count = min(len(logits), len(history.logits))
        before = history.logits[:count].to(logits.device).log_softmax(1)
        found = logits[:count].float().log_softmax(1)
        share = (y2 - y1) * (x2 - x1) / (height * width)
        return F.kl_div(found, before, reduction="batchmean", log_target=True) * self.omega * share
