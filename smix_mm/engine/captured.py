"""A whole training step, from the crop to the optimizer, as one CUDA graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Tuple

import torch
from mmengine.dist import is_distributed
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ..saliency import FineGrainedSaliency
from ..utils.errors import NonFiniteError
from .hooks import Bfloat16OptimWrapper
from .nonfinite.hook import NonFiniteHook

if TYPE_CHECKING:
    from ..batch_augments import SaliencyMix

Key = Tuple[Any, ...]


@HOOKS.register_module()
class CapturedStepHook(Hook):
    """Replay each training step from a CUDA graph, to remove the CPU's time for launching kernels.

    For the fast path on one GPU: :class:`~smix_mm.datasets.in_memory.preprocessor.InMemoryClsDataPreprocessor`, no
    batch augmentation or :class:`~smix_mm.batch_augments.SaliencyMix`, torch's SGD with ``fused=True`` in
    ``OptimWrapper`` or ``Bfloat16OptimWrapper``. Random numbers are drawn on the CPU, as without this hook, and are
    inputs of the graph, as are the learning rate and the maps of images before the crop. There is one graph for
    batches that are mixed, one for the others, and new ones for another momentum or weight decay. The first
    iterations, batches of another size, and trainings that do not meet the above run as without the hook, which is
    logged once.

    A replay does not wait for the GPU. Losses are read only at every ``interval``-th iteration, before a step that is
    not captured, and at the end of an epoch. A non-finite loss changes no weight and no running statistic; when it is
    read, the run stops with an error that names the iteration. Resumed without this hook from an earlier checkpoint,
    the run repeats the batch, and :class:`~smix_mm.engine.NonFiniteHook` saves it.

    A resumed run has the same random numbers and data, but is not equal to the bit: its first iterations run without a
    graph, with the learning rate as float64, and in a graph it is float32. Tested on a CPU, with a function that calls
    the step in place of a graph; replays on a GPU are not measured.

    Args:
        interval: Iterations between two readings of the losses. Should divide the logger's interval. Defaults to 50,
            the logger's default.
        warm_up: Iterations before the first capture, in which kernels are compiled and selected. Defaults to 11.

    Raises:
        ValueError: An argument is less than 1.
    """

    # Before the logger, which reads from the message hub.
    priority = "HIGH"

    def __init__(self, interval: int = 50, warm_up: int = 11) -> None:
        if min(interval, warm_up) < 1:
            raise ValueError(f"interval and warm_up should be at least 1, got {interval} and {warm_up}")
        self.interval = interval
        self.warm_up = warm_up
        self.seen = 0
        self.graphs: Dict[Key, CapturedStep] = {}
        self.unread: list[tuple[int, dict[str, Tensor]]] = []
        self.logged = False

    def before_train(self, runner: Runner) -> None:
        """Replace the model's ``train_step``."""
        self.model, self.runner = runner.model, runner
        # Another hook may replace these later by what a graph must not call.
        self.parse_losses, self.update_params = runner.model.parse_losses, runner.optim_wrapper.update_params
        self.own_step: Callable[..., dict[str, Tensor]] = runner.model.train_step
        reason = self.why_not(runner)
        if reason:
            runner.logger.warning(f"Training steps are not captured: {reason}.")
        else:
            runner.model.train_step = self.train_step

    def after_train(self, runner: Runner) -> None:
        """Restore the model's ``train_step``."""
        self.read_losses()
        vars(self.model).pop("train_step", None)
        self.graphs.clear()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read all losses so far, so that the checkpoint contains them."""
        self.read_losses()
        checkpoint["message_hub"] = runner.message_hub.state_dict()

    def why_not(self, runner: Runner) -> str:
        """The reason why this training cannot be captured; empty if it can."""
        # Not at the top, because the other hooks do not need mmpretrain.
        from mmpretrain.models import CrossEntropyLoss

        from ..batch_augments import SaliencyMix
        from ..datasets.in_memory.preprocessor import InMemoryClsDataPreprocessor
        from ..models.label_batch import BatchLinearClsHead

        wrapper = runner.optim_wrapper
        if is_distributed():
            return "several processes train"
        if not can_capture(next(runner.model.parameters()).device):
            return "there is no GPU"
        if not isinstance(runner.model.data_preprocessor, InMemoryClsDataPreprocessor):
            return "the images do not come from InMemoryDataset with InMemoryClsDataPreprocessor"
        if type(wrapper) not in (OptimWrapper, Bfloat16OptimWrapper):
            return f"optim_wrapper is {type(wrapper).__name__}; it should be OptimWrapper or Bfloat16OptimWrapper"
        augments = runner.model.data_preprocessor.batch_augments
        for one in augments.augments if augments else ():
            # Maps of images before the crop are computed outside the graph, so any detector will do.
            maps_given = one in runner.model.data_preprocessor.caches
            fine_grained = type(getattr(one, "detector", None)) is FineGrainedSaliency
            if one is not None and (type(one) is not SaliencyMix or not (maps_given or fine_grained)):
                return "batch_augments should have none but SaliencyMix with FineGrainedSaliency"
        head = runner.model.head
        if type(head) is not BatchLinearClsHead or head.cal_acc or type(head.loss_module) is not CrossEntropyLoss:
            return "the head should be BatchLinearClsHead with CrossEntropyLoss, without cal_acc"
        if head.loss_module.class_weight is not None:
            return "CrossEntropyLoss has class weights"
        if any(isinstance(hook, NonFiniteHook) and hook.action == "skip" for hook in runner.hooks):
            return "NonFiniteHook should skip iterations, but the loss of a captured step is known too late for that"
        if wrapper._accumulative_counts != 1 or wrapper.clip_grad_kwargs:
            return "gradients are accumulated or clipped"
        # By group, since the groups may come from a checkpoint.
        groups = wrapper.optimizer.param_groups
        if type(wrapper.optimizer) is not torch.optim.SGD or not all(group["fused"] for group in groups):
            return "the optimizer should be SGD with fused=True"
        return ""

    def train_step(self, data: Mapping[str, Any], optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Replaces the model's ``train_step``; returns no losses for a captured step, whose losses are read later."""
        preprocessor = self.model.data_preprocessor
        augments = preprocessor.batch_augments
        batch = data["inputs"].shape
        fits = batch[0] == self.runner.train_dataloader.batch_size
        self.seen += fits
        if not fits and not self.logged:
            self.runner.logger.info(f"Training steps with {batch[0]} images, not a full batch, are not captured.")
            self.logged = True
        ready = all(one in preprocessor.caches or _is_ready(one) for one in (augments.augments if augments else ()))
        if self.seen <= self.warm_up or not fits or not ready:
            # Before this step's losses, which go to the message hub at once.
            self.read_losses()
            # Detached, since references to this step's autograd graph would disturb a later capture.
            return {name: value.detach() for name, value in self.own_step(data, optim_wrapper).items()}
        crops = preprocessor.draw_crops(len(data["inputs"])) if preprocessor.padding or preprocessor.flip_prob else None
        augment = preprocessor.pick_augment()
        maps = preprocessor.maps(augment, data)
        numbers = augment.draw(len(data["inputs"]), *batch[2:]) if augment else None
        inputs = (data["inputs"], data["data_samples"], crops, maps, numbers)
        settings = tuple((group["momentum"], group["weight_decay"]) for group in optim_wrapper.optimizer.param_groups)
        key = (augment, settings)
        if key not in self.graphs:
            # Graphs of other settings are freed, or a schedule of the momentum would fill the memory.
            self.graphs = {other: graph for other, graph in self.graphs.items() if other[1] == settings}
            self.graphs[key] = CapturedStep(self, augment, *inputs)
        self.unread.append((self.runner.iter, self.graphs[key].replay(*inputs)))
        return {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Read the losses at the end of an interval or epoch."""
        last = self.end_of_epoch(runner.train_dataloader, batch_idx) or self.is_last_train_iter(runner)
        if last or self.every_n_inner_iters(batch_idx, self.interval):
            self.read_losses()

    def read_losses(self) -> None:
        """Write the losses since the last reading to the message hub.

        Raises:
            NonFiniteError: A loss is not finite.
        """
        if not self.unread:
            return
        unread, self.unread = self.unread, []
        names = list(unread[0][1])
        table = torch.stack([torch.stack([losses[name].float() for name in names]) for _, losses in unread]).tolist()
        for (iteration, _), values in zip(unread, table):
            for name, value in zip(names, values):
                self.runner.message_hub.update_scalar(f"train/{name}", value)
            if not all(map(math.isfinite, values)):
                found = ", ".join(f"{name} is {value}" for name, value in zip(names, values))
                message = (
                    f"iteration {iteration + 1} has no finite loss: {found}; it changed no weights, and the run stops "
                    f"after iteration {self.runner.iter + 1}: resume from an earlier checkpoint without "
                    "CapturedStepHook to have the batch saved, or with --config-schedule and a smaller learning rate"
                )
                self.runner.logger.error(message)
                raise NonFiniteError(message)


class CapturedStep:
    """A training step as a CUDA graph with input tensors that every replay overwrites.

    Args:
        hook: Of the training.
        augment: The batch augmentation, or None.
        *inputs: Of the first batch: images, labels, crops, maps of the images before the crop, and numbers of the mix;
            None for the last three if they are not used.
    """

    def __init__(self, hook: CapturedStepHook, augment: SaliencyMix | None, *inputs: Any) -> None:
        self.hook, self.augment = hook, augment
        device = next(hook.model.parameters()).device
        moved = [None if value is None else value.to(device) for value in inputs]
        self.inputs: list[Any] = [value.clone() if isinstance(value, Tensor) else value for value in moved]
        self.bad = torch.zeros((), device=device)
        groups = hook.runner.optim_wrapper.optimizer.param_groups
        self.rates = [torch.full((), float(group["lr"]), device=device) for group in groups]
        count = hook.runner.optim_wrapper._inner_count
        self.graph = capture(self._step)
        hook.runner.optim_wrapper._inner_count = count

    def replay(self, *inputs: Any) -> dict[str, Tensor]:
        """Run the step with a batch's inputs, those of the constructor; returns the losses, on the device."""
        for ours, value in zip(self.inputs, inputs):
            if isinstance(value, Tensor):
                ours.copy_(value, non_blocking=True)
            elif value is not None:
                ours.copy_(value)
        for rate, group in zip(self.rates, self.hook.runner.optim_wrapper.optimizer.param_groups):
            rate.fill_(group["lr"])
        count = self.hook.runner.optim_wrapper._inner_count
        self.graph.replay()
        self.hook.runner.optim_wrapper._inner_count = count + 1
        return {name: value.clone() for name, value in self.losses.items()}

    def _step(self) -> None:
        """The captured code. Nothing in it may wait for the GPU or depend on a value there."""
        from ..models.label_batch import LabelBatch

        hook, model = self.hook, self.hook.model
        images, labels, crops, maps, numbers = self.inputs
        wrapper, preprocessor = hook.runner.optim_wrapper, model.data_preprocessor
        # So that the graph allocates its gradients and does not add to others.
        wrapper.optimizer.zero_grad(set_to_none=True)
        buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        before = [buffer.clone() for buffer in buffers]
        with wrapper.optim_context(model):
            inputs, scores = preprocessor.augment(images, labels, crops)
            if self.augment is not None and scores is not None:
                maps = None if maps is None else preprocessor.crop_maps(maps, crops)
                inputs, scores = self.augment.apply(inputs, scores.float(), numbers, maps)
            losses = model._run_forward(dict(inputs=inputs, data_samples=LabelBatch(labels, scores)), mode="loss")
        total, log_vars = hook.parse_losses(losses)
        good = torch.isfinite(total.detach())
        self.bad.copy_(~good)
        optimizer = wrapper.optimizer
        rates = [group["lr"] for group in optimizer.param_groups]
        # If this attribute is not 0, torch's fused optimizers change nothing.
        optimizer.found_inf = self.bad
        for group, rate in zip(optimizer.param_groups, self.rates):
            group["lr"] = rate
        try:
            hook.update_params(total)
        finally:
            del optimizer.found_inf
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate
        # After the backward pass, which needs the buffers as the forward pass left them.
        with torch.no_grad():
            for buffer, saved in zip(buffers, before):
                buffer.copy_(torch.where(good, buffer, saved))
        self.losses = {name: value.detach() for name, value in log_vars.items()}


def _is_ready(augment: SaliencyMix | None) -> bool:
    """Whether an augmentation has checked the values of its first batches, for which it waits for the GPU."""
    return augment is None or augment.unnormalize.checked


def can_capture(device: torch.device) -> bool:
    """Whether work on ``device`` can be captured."""
    return device.type == "cuda"


def capture(step: Callable[[], None]) -> Any:
    """Capture what ``step`` launches, without running it, and return the CUDA graph."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        step()
    return graph
