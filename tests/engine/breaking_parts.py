"""What the tests of broken runs put into a config: files and weights that turn bad, and blows from outside."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmpretrain.models import LinearClsHead
from mmpretrain.registry import MODELS, TRANSFORMS

from smix_mm.transfer.checkpoint import state_dict_hash


@TRANSFORMS.register_module()
class Break(BaseTransform):
    """Make floats of images and labels; those of one file are NaN.

    Args:
        file: the end of the bad file's path; nothing is bad where it is empty.
        part: ``'img'`` or ``'gt_score'``.
    """

    def __init__(self, file: str = "", part: str = "gt_score") -> None:
        self.file = file
        self.part = part

    def transform(self, results: dict) -> dict:
        results["img"] = results["img"].astype(np.float32)
        results["gt_score"] = np.eye(10, dtype=np.float32)[results["gt_label"]]
        if self.file and results["img_path"].endswith(self.file):
            results[self.part][0] = np.nan
        return results


@MODELS.register_module()
class TwoLossHead(LinearClsHead):
    """Beside the loss that labels can spoil, one that shows to the bit which weights, images and draws it had."""

    def loss(self, feats, data_samples, **kwargs):
        scores = self(feats)
        return dict(loss_size=scores.square().mean(), loss_cls=super().loss(feats, data_samples)["loss"])


@HOOKS.register_module()
class BlowHook(Hook):
    """Do something bad just before iteration ``at``, counted from 1.

    Args:
        at: the iteration.
        what: ``weights``: some are infinite; ``huge``: some are nearly; ``rate``: the learning rate is infinite;
            ``fast``: it is so large that the step leaves huge weights;
            ``memory``: what torch raises where a GPU's memory is used up; ``interrupt``: Ctrl-C, which reaches the
            workers too; ``worker``: a data worker is killed; ``digest``: nothing bad, the hash of this rank's weights
            is left in ``rankR.txt``.
    """

    priority = "VERY_HIGH"

    def __init__(self, at: int, what: str) -> None:
        self.at = at
        self.what = what

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter + 1 == self.at:
            getattr(self, self.what)(runner)

    def weights(self, runner) -> None:
        runner.model.backbone.conv1.weight.data[0] = float("inf")

    def huge(self, runner) -> None:
        runner.model.backbone.layer1[0].conv2.weight.data[0] = 3e38

    def rate(self, runner) -> None:
        runner.optim_wrapper.param_groups[0]["lr"] = float("inf")

    def fast(self, runner) -> None:
        runner.optim_wrapper.param_groups[0]["lr"] = 1e29

    def memory(self, runner) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total of 3 GiB")

    def interrupt(self, runner) -> None:
        os.killpg(os.getpgrp(), signal.SIGINT)

    def worker(self, runner) -> None:
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        # Torch hears of the death by a signal, which ends the sleep; else iterations might go by before it comes.
        time.sleep(30)

    def digest(self, runner) -> None:
        weights = dict(runner.model.module.named_parameters())
        Path(runner.work_dir, f"rank{runner.rank}.txt").write_text(state_dict_hash(weights))
