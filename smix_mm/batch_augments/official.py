"""What the code released with the paper does, exactly."""

from __future__ import annotations

import numpy as np
import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..mixing.functional import as_scores, check_alpha
from ..saliency.opencv import create_opencv_detector
from .saliency_mix import check_inputs


@BATCH_AUGMENTS.register_module()
class OfficialSaliencyMix:
    """The released code's behaviour, batch for batch identical given the same seeds.

    It differs from the paper's text, and from :class:`SaliencyMix`, in this: one λ and one box
    serve the whole batch; the box is found on one image, and there on the *normalised float*
    tensor. OpenCV's detector expects bytes and reads the floats' bit pattern as if it were
    pixels, so the box is nearly random; it is cut at the borders.

    λ comes from numpy's global generator and the permutation from torch's, in this order. The
    coin that the released training loop throws first is mmpretrain's ``probs``.

    Args:
        alpha: positive; λ ~ Beta(alpha, alpha). Defaults to 1.0.

    Raises:
        ValueError: ``alpha`` is not a positive number.
        ImportError: OpenCV's contrib build is missing.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = check_alpha(alpha)
        self.detector = create_opencv_detector("fine_grained")

    def __call__(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch; arguments, results and errors as for :class:`SaliencyMix`."""
        return self.mix(batch_inputs, batch_scores)

    def mix(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """The same as calling the object; mmpretrain's name for it."""
        check_inputs(batch_inputs)
        scores = as_scores(batch_scores, len(batch_inputs), None)
        if len(batch_inputs) == 0:
            return batch_inputs.clone(), scores.clone()
        lam = np.random.beta(self.alpha, self.alpha)
        partner = torch.randperm(len(batch_inputs))
        giver = batch_inputs[int(partner[0])]
        # The box makes a GPU wait at every batch anyway, so this can be asked every time.
        if not bool(torch.isfinite(batch_inputs).all()):
            raise ValueError("the batch holds NaN or infinity; wanted finite pixels: look at the data and its pipeline")
        y1, x1, y2, x2 = self.box(giver, lam)
        height, width = batch_inputs.shape[2:]
        lam = 1 - ((y2 - y1) * (x2 - x1) / (height * width))
        partner = partner.to(batch_inputs.device)
        mixed = batch_inputs.clone()
        mixed[:, :, y1:y2, x1:x2] = batch_inputs[partner, :, y1:y2, x1:x2]
        return mixed, lam * scores + (1 - lam) * scores[partner]

    def box(self, image: Tensor, lam: float) -> tuple[int, int, int, int]:
        """The box ``(y1, x1, y2, x2)``, half-open, that the released code finds on one image.

        Args:
            image: normalised floats (3, H, W).
            lam: the share of the image that should remain.
        """
        floats = np.ascontiguousarray(image.detach().float().cpu().numpy().transpose(1, 2, 0))
        _, saliency_map = self.detector.computeSaliency(floats)
        peak = np.unravel_index(np.argmax((saliency_map * 255).astype(np.uint8)), saliency_map.shape)
        ratio = np.sqrt(1.0 - lam)
        corners = []
        for place, side in zip(peak, image.shape[1:]):
            half = int(side * ratio) // 2
            corners.append((int(np.clip(place - half, 0, side)), int(np.clip(place + half, 0, side))))
        (y1, y2), (x1, x2) = corners
        return y1, x1, y2, x2
