"""White-box attacks on the pixels of a classifier's input, and a test loop with them."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any, Callable, Sequence

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import LOOPS
from mmengine.runner import TestLoop
from torch import Tensor, nn

from ..datasets.in_memory.preprocessor import InMemoryClsDataPreprocessor
from ..models.label_batch import LabelBatch
from ..utils.choices import ATTACKS, check_minimum, check_option
from ..utils.random_state import seeded_numpy
from ..utils.tensors import unwrapped

# From float pixels (N, C, H, W) in 0 to 255 and labels (N,) to perturbed pixels of the same shape and range.
Attack = Callable[[Tensor, Tensor], Tensor]


def preprocess(preprocessor: Any, pixels: Tensor, samples: Any = None) -> dict[str, Any]:
    """What a classifier's data preprocessor returns at test time, for pixels that are floats.

    Args:
        preprocessor: Of mmpretrain, or an ``InMemoryClsDataPreprocessor``, which itself takes uint8 images only.
        pixels: (N, C, H, W) in 0 to 255.
        samples: Data samples, or labels (N,) of a dataset in memory. Defaults to None.
    """
    if not isinstance(preprocessor, InMemoryClsDataPreprocessor):
        done: dict[str, Any] = preprocessor(dict(inputs=pixels, data_samples=samples), False)
        return done
    inputs, _ = preprocessor.augment(preprocessor.cast_data(pixels), None, None)
    return dict(inputs=inputs, data_samples=None if samples is None else LabelBatch(preprocessor.cast_data(samples)))


class PixelClassifier(nn.Module):
    """An mmpretrain ``ImageClassifier`` as a function of the pixels that its data loader returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits, float (N, K), of float pixels (N, C, H, W) in 0 to 255; a ValueError if the model has none."""
        inputs = preprocess(self.model.data_preprocessor, pixels)["inputs"]
        logits = self.model(inputs, mode="tensor")
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            raise ValueError(
                f"the model should return logits (N, classes), got {type(logits).__name__}; use a classifier with one "
                "label per image"
            )
        return logits


def make_attack(
    name: str, model: nn.Module, shape: Sequence[int], classes: int, eps: float, steps: int = 20, seed: int = 0
) -> Attack:
    """Build an untargeted L-infinity attack that increases the cross-entropy of the true label.

    Computed by the Adversarial Robustness Toolbox. The model's mode and weights do not change.

    Args:
        name: ``'fgsm'``: one step along the gradient's sign (Goodfellow et al. 2015, section 4);
            ``'pgd'``: ``steps`` such steps of ``2.5 * eps / steps`` from a random start, projected
            (Madry et al. 2018, section 2.1); ``'apgd'``: APGD-CE, with an adaptive step size
            (Croce & Hein 2020, section 3).
        model: An mmpretrain classifier in eval mode.
        shape: Shape of an image, (C, H, W).
        classes: Number of classes.
        eps: Largest change of a pixel, as a fraction of 255, in 0 to 1. With 0 the images do not change.
        steps: Number of steps of ``'pgd'`` and ``'apgd'``, at least 1. Defaults to 20.
        seed: Seed of the random starts, the same for every batch. Defaults to 0.

    Returns:
        A function from float pixels (N, C, H, W) in 0 to 255 and int64 labels (N,) to perturbed float32 pixels
        (N, C, H, W) in 0 to 255, not rounded, on the model's device.

    Raises:
        ValueError: An argument is out of range.
    """
    check_option("attack", name, ATTACKS)
    parse_eps(str(eps))
    check_minimum("steps", steps, 1)
    if eps == 0:
        return lambda pixels, labels: pixels
    method = _art_attack(name, PixelClassifier(model), tuple(shape), classes, 255 * eps, steps)
    device = next(model.parameters()).device

    def attack(pixels: Tensor, labels: Tensor) -> Tensor:
        method.set_params(batch_size=len(pixels))
        clean = pixels.detach().float().cpu().numpy()
        try:
            with seeded_numpy(seed):
                changed = method.generate(clean, labels.cpu().numpy())
        finally:
            for parameter in model.parameters():
                parameter.grad = None
        # Rounding errors may exceed the bounds.
        changed = np.clip(changed, np.maximum(clean - 255 * eps, 0), np.minimum(clean + 255 * eps, 255))
        return torch.from_numpy(changed.astype(np.float32)).to(device)

    return attack


def _art_attack(name: str, model: nn.Module, shape: tuple[int, ...], classes: int, eps: float, steps: int) -> Any:
    from art.attacks.evasion import AutoProjectedGradientDescent, FastGradientMethod, ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    kind = "gpu" if next(model.parameters()).is_cuda else "cpu"
    loss = nn.CrossEntropyLoss()
    classifier = PyTorchClassifier(model, loss, shape, classes, clip_values=(0.0, 255.0), device_type=kind)
    if name == "fgsm":
        return FastGradientMethod(classifier, eps=eps, eps_step=eps)
    settings: dict[str, Any] = dict(eps=eps, max_iter=steps, verbose=False)
    if name == "pgd":
        return ProjectedGradientDescent(classifier, eps_step=2.5 * eps / steps, num_random_init=1, **settings)
    settings |= dict(loss_type="cross_entropy", nb_random_init=1)
    return AutoProjectedGradientDescent(classifier, eps_step=2 * eps, **settings)


def parse_eps(text: str) -> Fraction:
    """Parse the strength of an attack, such as ``'8/255'``; a ValueError if it is no number, or not in 0 to 1."""
    try:
        eps = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"eps should be a fraction of 255, such as 8/255 or 0.03, got {text!r}") from error
    if not 0 <= eps <= 1:
        raise ValueError(f"eps should be a fraction of 255 in 0 to 1, such as 8/255, got {eps}")
    return eps


@LOOPS.register_module()
class AttackTestLoop(TestLoop):
    """Test a classifier on attacked images, at several strengths in one pass over the data.

    The metrics are named ``<attack>_<eps>/<metric>``, such as ``fgsm_8/255/accuracy/top1``. Works with several
    processes, and with any mmpretrain classifier that has one label per image and batches of images of one size.

    Args:
        runner: mmengine's Runner.
        dataloader: The test data.
        evaluator: The metrics.
        attack: See :func:`make_attack`. Defaults to ``'fgsm'``.
        eps: Strengths of the attack, see :func:`parse_eps`. Defaults to ``('0', '8/255')``.
        steps: Number of steps of ``'pgd'`` and ``'apgd'``, at least 1. Defaults to 20.
        seed: Seed of the random starts. Defaults to 0.

    Raises:
        ValueError: An argument is out of range, or the model or the data do not meet the above.
    """

    evaluator: Any

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        evaluator: Any,
        attack: str = "fgsm",
        eps: Sequence[str] = ("0", "8/255"),
        steps: int = 20,
        seed: int = 0,
    ) -> None:
        check_option("attack", attack, ATTACKS)
        if not eps or len({parse_eps(each) for each in eps}) < len(eps):
            raise ValueError(f"eps should be a list of different strengths, such as ['0', '8/255'], got {list(eps)}")
        super().__init__(runner, dataloader, evaluator)
        self.attack, self.steps, self.seed = attack, steps, seed
        self.evaluators: dict[str, Evaluator] = {each: copy.deepcopy(self.evaluator) for each in eps}
        for each, evaluator in self.evaluators.items():
            for metric in evaluator.metrics:
                metric.prefix = "/".join(filter(None, (f"{attack}_{each}", metric.prefix)))
        # For the base class, which evaluates once, after all batches.
        self.evaluator = Evaluator([metric for one in self.evaluators.values() for metric in one.metrics])
        self._attacks: dict[tuple[str, tuple[int, ...]], Any] = {}

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Attack and test a batch at all strengths."""
        self.runner.call_hook("before_test_iter", batch_idx=idx, data_batch=data_batch)
        pixels, labels = _pixels_and_labels(data_batch)
        outputs: Any = None
        model = unwrapped(self.runner.model)
        for eps, evaluator in self.evaluators.items():
            with torch.enable_grad():
                attacked = self._attack(eps, pixels)(pixels, labels)
            samples = data_batch["data_samples"]
            samples = samples.clone() if isinstance(samples, Tensor) else [sample.clone() for sample in samples]
            with torch.no_grad():
                outputs = model(**preprocess(model.data_preprocessor, attacked, samples), mode="predict")
            evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook("after_test_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)

    def _attack(self, eps: str, pixels: Tensor) -> Any:
        key = (eps, tuple(pixels.shape[1:]))
        if key not in self._attacks:
            model = unwrapped(self.runner.model)
            classes = getattr(model.head, "num_classes", None)
            if classes is None:
                raise ValueError(f"{type(model.head).__name__} should have num_classes, for one label per image")
            strength = float(parse_eps(eps))
            self._attacks[key] = make_attack(self.attack, model, key[1], classes, strength, self.steps, self.seed)
        return self._attacks[key]


def _pixels_and_labels(batch: Any) -> tuple[Tensor, Tensor]:
    inputs, samples = batch["inputs"], batch["data_samples"]
    if not isinstance(inputs, Tensor):
        sizes = {tuple(each.shape) for each in inputs}
        if len(sizes) > 1:
            raise ValueError(f"images of a batch should have one size, got {sorted(sizes)}; use batch_size=1")
        inputs = torch.stack(list(inputs))
    if isinstance(samples, Tensor):  # a dataset in memory
        return inputs, samples
    labels = [sample.gt_label for sample in samples]
    if any(label.numel() != 1 for label in labels):
        raise ValueError("each image should have one label, got several for one image")
    return inputs, torch.cat([label.reshape(1) for label in labels])
