"""A resume with the config's learning rate and schedules."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import LinearLR, MultiStepLR, OptimWrapper, OptimWrapperDict

from smix_mm.engine.hooks import ConfigScheduleHook
from smix_mm.utils.errors import UsageError


def runner(lr: float, milestones=(2, 4), weight_decay: float = 0.0, warmup: int = 0, outputs: int = 2):
    model = torch.nn.Linear(3, outputs)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay))
    schedulers = [LinearLR(wrapper, start_factor=0.1, by_epoch=False, begin=0, end=warmup)] if warmup else []
    schedulers.append(MultiStepLR(wrapper, milestones=list(milestones), gamma=0.1))
    return SimpleNamespace(
        model=model, optim_wrapper=wrapper, param_schedulers=schedulers, logger=logging.getLogger("test")
    )


def trained(made, epochs: int, iterations: int = 5) -> dict:
    for _ in range(epochs):
        for _ in range(iterations):
            made.optim_wrapper.update_params(made.model(torch.ones(1, 3)).sum())
            for scheduler in made.param_schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        made.param_schedulers[-1].step()
    return dict(
        optimizer=made.optim_wrapper.state_dict(),
        param_schedulers=[scheduler.state_dict() for scheduler in made.param_schedulers],
        meta=dict(epoch=epochs, iter=epochs * iterations),
    )


def resumed(made, checkpoint: dict):
    ConfigScheduleHook().after_load_checkpoint(made, checkpoint)
    made.optim_wrapper.load_state_dict(checkpoint["optimizer"])
    for scheduler, state in zip(made.param_schedulers, checkpoint["param_schedulers"]):
        scheduler.load_state_dict(state)
    return made.optim_wrapper.param_groups[0]


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("epochs, decays", [(1, 0), (3, 1), (5, 2)])
def test_the_rate_is_the_one_that_the_config_has_at_that_epoch(epochs, decays, warmup):
    checkpoint = trained(runner(0.1, (1, 2), warmup=warmup), epochs)
    made = runner(0.01, weight_decay=1e-3, warmup=warmup)
    group = resumed(made, checkpoint)
    expected = trained(runner(0.01, weight_decay=1e-3, warmup=warmup), epochs)["optimizer"]["param_groups"][0]
    assert group["lr"] == pytest.approx(expected["lr"], rel=1e-9)
    if not warmup:
        assert group["lr"] == pytest.approx(0.01 * 0.1**decays)
    assert group["weight_decay"] == 1e-3 and group["initial_lr"] == 0.01
    assert made.param_schedulers[-1].last_step == epochs
    later = trained(made, 2)["optimizer"]["param_groups"][0]["lr"]
    assert later == pytest.approx(0.01 * 0.1 ** ((epochs + 2 >= 2) + (epochs + 2 >= 4)))


def test_momentum_is_the_checkpoints():
    checkpoint = trained(runner(0.1), 1)
    buffers = [state["momentum_buffer"].clone() for state in checkpoint["optimizer"]["state"].values()]
    made = runner(0.01)
    resumed(made, checkpoint)
    assert all(
        torch.equal(state["momentum_buffer"], buffer)
        for state, buffer in zip(made.optim_wrapper.optimizer.state.values(), buffers)
    )


def test_several_optimizers_and_other_groups_are_refused():
    checkpoint = trained(runner(0.1), 1)
    made = runner(0.1)
    made.optim_wrapper.add_param_group = None
    made.optim_wrapper.optimizer.add_param_group(dict(params=[torch.nn.Parameter(torch.ones(2))]))
    with pytest.raises(UsageError, match="makes 2 parameter groups, and the checkpoint has 1"):
        ConfigScheduleHook().after_load_checkpoint(made, checkpoint)
    made.optim_wrapper = OptimWrapperDict(one=runner(0.1).optim_wrapper)
    with pytest.raises(UsageError, match="for one optimizer"):
        ConfigScheduleHook().after_load_checkpoint(made, checkpoint)
