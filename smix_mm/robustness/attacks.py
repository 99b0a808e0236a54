"""White-box attacks on the pixels of a classifier's input."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..utils.choices import ATTACKS

# An attack: pixels (N, C, H, W) in 0..255 and labels (N,) in, changed pixels out.
Attack = Callable[[Tensor, Tensor], Tensor]


class PixelClassifier(nn.Module):
    """Logits of an mmpretrain classifier from pixels as its data loader gives them.

    Args:
        model: an mmpretrain ``ImageClassifier``; its data preprocessor does the normalisation.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, K) from floats (N, C, H, W) in 0..255; differentiable.

        Raises:
            ValueError: the model gives no logits.
        """
        inputs = self.model.data_preprocessor(dict(inputs=pixels), False)["inputs"]  # type: ignore[operator]
        logits = self.model(inputs, mode="tensor")
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            raise ValueError(
                f"the model gives {type(logits).__name__} instead of logits (N, classes); wanted a classifier with "
                "one label an image"
            )
        return logits


def make_attack(
    name: str, model: nn.Module, shape: Sequence[int], classes: int, eps: float, steps: int = 20, seed: int = 0
) -> Attack:
    """An attack within a distance of ``eps`` on every pixel, untargeted, on the true label's cross-entropy.

    Computed by the Adversarial Robustness Toolbox. The perturbed pixels stay within 0..255 and are
    not rounded; the model stays in eval mode and its weights as they are.

    Args:
        name: ``'fgsm'``: one step along the gradient's sign (Goodfellow et al. 2015, section 4);
            ``'pgd'``: ``steps`` such steps of ``2.5 * eps / steps`` from a random start, projected
            (Madry et al. 2018, section 2.1); ``'apgd'``: APGD-CE, whose step size needs no
            choice (Croce & Hein 2020, section 3).
        model: an mmpretrain classifier in eval mode.
        shape: (C, H, W) of the images.
        classes: how many.
        eps: largest change of a pixel, as a share of 255, in 0 to 1; with 0 the images are
            given back as they are.
        steps: of ``'pgd'`` and ``'apgd'``.
        seed: of the random starts; every batch starts from the same stream.

    Raises:
        ValueError: an argument is not as above.
    """
    if name not in ATTACKS:
        raise ValueError(f"attack is {name!r}; wanted one of {', '.join(ATTACKS)}")
    if not 0 <= eps <= 1:
        raise ValueError(f"eps is {eps}; wanted a share of 255 in 0 to 1, such as 8/255")
    if steps < 1:
        raise ValueError(f"steps is {steps}; wanted 1 or more")
    if eps == 0:
        return lambda pixels, labels: pixels
    method = _art_attack(name, PixelClassifier(model), tuple(shape), classes, 255 * eps, steps)
    device = next(model.parameters()).device

    def attack(pixels: Tensor, labels: Tensor) -> Tensor:
        method.set_params(batch_size=len(pixels))
        clean = pixels.detach().float().cpu().numpy()
        before = np.random.get_state()
        np.random.seed(seed)
        try:
            changed = method.generate(clean, labels.cpu().numpy())
        finally:
            np.random.set_state(before)
            for parameter in model.parameters():
                parameter.grad = None
        # Sums of floats may overshoot by a rounding error.
        changed = np.clip(changed, np.maximum(clean - 255 * eps, 0), np.minimum(clean + 255 * eps, 255))
        return torch.from_numpy(changed.astype(np.float32)).to(device)

    return attack


def _art_attack(name: str, model: nn.Module, shape: tuple[int, ...], classes: int, eps: float, steps: int) -> Any:
    from art.attacks.evasion import AutoProjectedGradientDescent, FastGradientMethod
    from art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_pytorch import (
        ProjectedGradientDescentPyTorch,
    )
    from art.estimators.classification import PyTorchClassifier

    kind = "gpu" if next(model.parameters()).is_cuda else "cpu"
    loss = nn.CrossEntropyLoss()
    classifier = PyTorchClassifier(model, loss, shape, classes, clip_values=(0.0, 255.0), device_type=kind)
    if name == "fgsm":
        return FastGradientMethod(classifier, eps=eps, eps_step=eps)
    settings = dict(eps=eps, max_iter=steps, verbose=False)
    if name == "pgd":
        step = 2.5 * eps / steps
        return ProjectedGradientDescentPyTorch(classifier, eps_step=step, num_random_init=1, **settings)
    return AutoProjectedGradientDescent(
        classifier, eps_step=2 * eps, nb_random_init=1, loss_type="cross_entropy", **settings
    )


def parse_eps(text: str) -> Fraction:
    """``'8/255'`` or ``'0.03'`` as a fraction.

    Raises:
        ValueError: it is neither, or not in 0 to 1.
    """
    try:
        eps = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"eps is {text!r}; wanted a share of 255 such as 8/255 or 0.03") from error
    if not 0 <= eps <= 1:
        raise ValueError(f"eps is {text}; wanted a share of 255 in 0 to 1, such as 8/255")
    return eps
