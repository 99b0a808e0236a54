"""Hooks that the tests of runs on a GPU put into a config."""

from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class FillMemoryHook(Hook):
    """Allocates until the GPU's memory is used up, just before iteration ``at``, counted from 1."""

    def __init__(self, at: int) -> None:
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        taken = []
        while runner.iter + 1 == self.at:
            taken.append(torch.empty(1 << 30, dtype=torch.uint8, device="cuda"))


@HOOKS.register_module()
class BackendHook(Hook):
    """Leaves in ``backend.txt`` what the processes talk with, and how many they are."""

    def before_train(self, runner) -> None:
        Path(runner.work_dir, "backend.txt").write_text(f"{dist.get_backend()} {dist.get_world_size()}")
