"""The behaviour of the code released with the paper, and the saliency map that it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..mixing.plan import check_alpha
from ..saliency.base import map_extreme
from ..saliency.normalization import check_finite
from ..saliency.opencv import create_opencv_detector, opencv_maps
from ..utils.tensors import check_images
from .base import BatchAugment


@BATCH_AUGMENTS.register_module()
class OfficialSaliencyMix(BatchAugment):
    """The released code's augmentation: from the same seeds it returns identical batches.

    It differs from the paper's text, and from :class:`SaliencyMix`: one λ and one box
    serve the whole batch, and the box is found on one image, in its *normalized float*
    tensor. OpenCV's detector expects bytes and reads the floats' bit pattern as if it were
    pixels, so the box is nearly random; it is cut off at the borders.

    The authors' commands use ``DataParallel`` (CIFAR on 2 GPUs, ImageNet on 4): one box serves all 128 or 256 images,
    and batch norm sees 64 of them. Here, under DistributedDataParallel on N GPUs each process draws its own box, so
    there are N a step; on one GPU batch norm sees the whole batch.

    λ is drawn from numpy's global generator, then the permutation from torch's. The released training
    loop decides before that whether a batch is mixed; here this is mmpretrain's ``probs``.

    Args:
        alpha: positive; λ ~ Beta(alpha, alpha). Defaults to 1.0.

    Raises:
        ValueError: ``alpha`` is not a positive number.
        PackageError: OpenCV's contrib build is not installed.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = check_alpha(alpha)
        self.detector = create_opencv_detector("fine_grained")

    def mix_checked(self, batch_inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        lam = np.random.beta(self.alpha, self.alpha)
        partner = torch.randperm(len(batch_inputs))
        first_partner = batch_inputs[int(partner[0])]
        # The box makes a GPU wait anyway, so every batch can be checked.
        check_finite(batch_inputs)
        y1, x1, y2, x2 = self.box(first_partner, lam)
        height, width = batch_inputs.shape[2:]
        lam = 1 - ((y2 - y1) * (x2 - x1) / (height * width))
        partner = partner.to(batch_inputs.device)
        mixed = batch_inputs.clone()
        mixed[:, :, y1:y2, x1:x2] = batch_inputs[partner, :, y1:y2, x1:x2]
        return mixed, lam * scores + (1 - lam) * scores[partner]

    def box(self, image: Tensor, lam: float) -> tuple[int, int, int, int]:
        """The box ``(y1, x1, y2, x2)``, half-open, that the released code finds on one image.

        Args:
            image: normalized, floating-point (3, H, W).
            lam: the share of the image that should remain.
        """
        maps = released_code_maps(image[None], self.detector)
        peak = map_extreme(maps, True, None)[0][0].tolist()
        ratio = np.sqrt(1.0 - lam)
        corners = []
        for place, side in zip(peak, image.shape[1:]):
            half = int(side * ratio) // 2
            corners.append((int(np.clip(place - half, 0, side)), int(np.clip(place + half, 0, side))))
        (y1, y2), (x1, x2) = corners
        return y1, x1, y2, x2


def released_code_maps(images: Tensor, detector: Any = None) -> Tensor:
    """The maps of OpenCV's fine-grained detector for normalized floats, as the released code calls it.

    The detector converts the image to grey, which stays floating-point, and then reads that buffer as if
    it contained bytes: the map shows the bit patterns of floats, not saliency.

    Args:
        images: normalized, floating-point (N, 3, H, W), in any channel order: the network's input.
        detector: OpenCV's detector object. Defaults to a new one.

    Returns:
        float32 (N, H, W) in [0, 1], on the CPU, rounded down to 256 levels as in the released code.

    Raises:
        PackageError: OpenCV's contrib build is not installed.
        TypeError, ValueError: ``images`` are not as above.
    """
    check_images(images, "N, 3, H, W", dtype="floating-point")
    maps = opencv_maps(detector or create_opencv_detector("fine_grained"), images.detach().float())
    return (maps * 255).to(torch.uint8).float() / 255
