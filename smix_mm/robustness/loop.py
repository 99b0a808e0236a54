"""A test loop with adversarial attacks."""

from __future__ import annotations

import copy
from typing import Any, Sequence

import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import LOOPS
from mmengine.runner import TestLoop
from torch import Tensor

from ..utils.choices import check_option
from ..utils.tensors import unwrapped
from .attacks import ATTACKS, make_attack, parse_eps, preprocess


@LOOPS.register_module()
class AttackTestLoop(TestLoop):
    """Test a classifier on attacked images, at several strengths in one pass over the data.

    The metrics are named ``<attack>_<eps>/<metric>``, such as ``fgsm_8/255/accuracy/top1``. Works with several
    processes, and with any mmpretrain classifier that has one label per image and batches of images of one size.

    Args:
        runner: mmengine's Runner.
        dataloader: The test data.
        evaluator: The metrics.
        attack: One of :data:`~smix_mm.utils.choices.ATTACKS`. Defaults to ``'fgsm'``.
        eps: Strengths of the attack, see :func:`~smix_mm.robustness.attacks.parse_eps`. Defaults to
            ``('0', '8/255')``.
        steps: Number of steps of ``'pgd'`` and ``'apgd'``, at least 1. Defaults to 20.
        seed: Seed of the random starts. Defaults to 0.

    Raises:
        ValueError: An argument is out of range, or the model or the data do not meet the above.
    """

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
        self._attacks: dict[tuple[str, tuple[int, ...]], Any] = {}

    def run(self) -> dict:
        """Attack and test all images; returns the metrics at all strengths."""
        self.runner.call_hook("before_test")
        self.runner.call_hook("before_test_epoch")
        self.runner.model.eval()
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        metrics: dict[str, float] = {}
        for eps, evaluator in self.evaluators.items():
            figures = evaluator.evaluate(len(self.dataloader.dataset))
            metrics.update({f"{self.attack}_{eps}/{name}": value for name, value in figures.items()})
        self.runner.call_hook("after_test_epoch", metrics=metrics)
        self.runner.call_hook("after_test")
        return metrics

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
