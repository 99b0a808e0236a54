"""A resume that takes learning rate, schedule and optimizer settings from the config."""

from __future__ import annotations

import warnings
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...utils.errors import UsageError


@HOOKS.register_module()
class ConfigScheduleHook(Hook):
    """On resume, use the config's optimizer settings and schedules in place of the checkpoint's.

    mmengine restores both from the checkpoint. With this hook, which ``--config-schedule`` of ``tools/train.py`` adds,
    every setting of the parameter groups is the config's, and the learning rate is the one that the config's
    schedules have after as many epochs and iterations as were trained. Momentum buffers, weights and counters are
    still the checkpoint's. Not meant for exact resumes.

    Raises:
        UsageError: there are several optimizers, or other parameter groups than in the checkpoint.
    """

    priority = "VERY_HIGH"

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Exchange the settings in ``checkpoint`` before the runner restores from it."""
        if "optimizer" not in checkpoint:
            return
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            raise UsageError("--config-schedule is for one optimizer, got several; resume without it")
        groups, saved = runner.optim_wrapper.param_groups, checkpoint["optimizer"]["param_groups"]
        if [len(group["params"]) for group in groups] != [len(group["params"]) for group in saved]:
            raise UsageError(
                f"the config makes {len(groups)} parameter groups, and the checkpoint has {len(saved)}, or of other "
                "sizes; --config-schedule needs the same model and paramwise_cfg"
            )
        schedulers = runner.param_schedulers or []
        before = [scheduler.state_dict() for scheduler in schedulers]
        rates = [group["lr"] for group in groups]
        for scheduler in schedulers:
            steps = checkpoint["meta"]["epoch" if scheduler.by_epoch else "iter"]
            with warnings.catch_warnings():
                # torch's reminder to step the optimizer first; nothing is trained here.
                warnings.simplefilter("ignore")
                for _ in range(steps):
                    scheduler.step()
        for group, old in zip(groups, saved):
            old.update({name: value for name, value in group.items() if name != "params"})
        checkpoint["param_schedulers"] = [scheduler.state_dict() for scheduler in schedulers]
        runner.logger.info(
            "Resume: learning rate, schedules and optimizer settings are the config's; the learning rate is now "
            f"{', '.join(f'{rate:g}' for rate in dict.fromkeys(group['lr'] for group in groups))}."
        )
        # The runner restores both from the checkpoint next.
        for scheduler, state in zip(schedulers, before):
            scheduler.load_state_dict(state)
        for group, rate in zip(groups, rates):
            group["lr"] = rate
