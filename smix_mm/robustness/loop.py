"""A test loop that attacks what it tests."""

from __future__ import annotations

import copy
from typing import Any, Sequence

import torch
from mmengine.evaluator import Evaluator
from mmengine.model import is_model_wrapper
from mmengine.registry import LOOPS
from mmengine.runner import TestLoop
from torch import Tensor

from .attacks import ATTACKS, make_attack, parse_eps


@LOOPS.register_module()
class AttackTestLoop(TestLoop):
    """Test a classifier on attacked images, at several strengths in one pass over the data.

    Every figure of the evaluator is given for each strength, as ``<attack>_<eps>/<figure>``, such
    as ``fgsm_8/255/accuracy/top1``. Works in several processes, and with any mmpretrain classifier
    that has one label an image and images of one size a batch.

    Args:
        runner: mmengine's Runner.
        dataloader: of the test.
        evaluator: of the test.
        attack: one of :data:`~smix_mm.robustness.attacks.ATTACKS`. Defaults to ``'fgsm'``.
        eps: strengths, each a string such as ``'8/255'``. Defaults to ``('0', '8/255')``.
        steps: of attacks that take several. Defaults to 20.
        seed: of random starts. Defaults to 0.

    Raises:
        ValueError: an argument is not as above, or the model or its data are not.
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
        if attack not in ATTACKS:
            raise ValueError(f"attack is {attack!r}; wanted one of {', '.join(ATTACKS)}")
        if not eps or len({parse_eps(each) for each in eps}) < len(eps):
            raise ValueError(f"eps is {list(eps)}; wanted different strengths, such as ['0', '8/255']")
        super().__init__(runner, dataloader, evaluator)
        self.attack, self.steps, self.seed = attack, steps, seed
        self.evaluators: dict[str, Evaluator] = {each: copy.deepcopy(self.evaluator) for each in eps}
        self._attacks: dict[tuple[str, tuple[int, ...]], Any] = {}

    def run(self) -> dict:
        """Attack and test; the figures of all strengths."""
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
        """One batch at all strengths."""
        self.runner.call_hook("before_test_iter", batch_idx=idx, data_batch=data_batch)
        pixels, labels = _pixels_and_labels(data_batch)
        outputs: Any = None
        for eps, evaluator in self.evaluators.items():
            with torch.enable_grad():
                attacked = self._make(eps, pixels)(pixels, labels)
            samples = [sample.clone() for sample in data_batch["data_samples"]]
            with torch.no_grad():
                outputs = self.runner.model.test_step(dict(inputs=attacked, data_samples=samples))
            evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook("after_test_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)

    def _make(self, eps: str, pixels: Tensor) -> Any:
        key = (eps, tuple(pixels.shape[1:]))
        if key not in self._attacks:
            model = self.runner.model.module if is_model_wrapper(self.runner.model) else self.runner.model
            classes = getattr(model.head, "num_classes", None)
            if classes is None:
                raise ValueError(f"{type(model.head).__name__} has no num_classes; wanted one label an image")
            strength = float(parse_eps(eps))
            self._attacks[key] = make_attack(self.attack, model, key[1], classes, strength, self.steps, self.seed)
        return self._attacks[key]


def _pixels_and_labels(batch: Any) -> tuple[Tensor, Tensor]:
    inputs, samples = batch["inputs"], batch["data_samples"]
    if not isinstance(inputs, Tensor):
        sizes = {tuple(each.shape) for each in inputs}
        if len(sizes) > 1:
            raise ValueError(f"a batch has images of sizes {sorted(sizes)}; wanted one size, or batch_size=1")
        inputs = torch.stack(list(inputs))
    labels = [sample.gt_label for sample in samples]
    if any(label.numel() != 1 for label in labels):
        raise ValueError("an image has several labels; wanted one label an image")
    return inputs, torch.cat([label.reshape(1) for label in labels])
