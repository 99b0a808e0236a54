"""Runs `tools/train.py` and its like many times, each in a process of its own that can be killed, importing once.

A line of JSON comes in for each run: the packages to import, the program, its arguments and environment, and the file
for its output. A line with the exit status goes out; negative for a signal. An empty line ends it.
"""

import json
import os
import signal
import sys
from ast import literal_eval
from importlib import import_module

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class KillHook(Hook):
    """Kills the process after iteration ``at``, after all other hooks.

    Args:
        at: iteration, from 1 on.
        rank: whom.
        saving: kill in the middle of the saving that iteration ``at`` begins, when the file is written but not synced.
        after: ``'epoch'`` to kill when the hooks are done with the epoch that iteration ``at`` ends.
        once: a file that is made then, and keeps a later start alive.
    """

    priority = "LOWEST"

    def __init__(self, at=0, rank=0, saving=False, after="iter", once=None):
        self.at, self.rank, self.saving, self.after, self.once = at, rank, saving, after, once

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.saving and runner.iter + 1 == self.at:
            os.fsync = lambda handle: self.kill()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.at and runner.rank == self.rank and not self.saving and self.after == "iter":
            self.kill()

    def after_train_epoch(self, runner):
        if runner.iter == self.at and runner.rank == self.rank and self.after == "epoch":
            self.kill()

    def kill(self):
        if self.once is None or not os.path.exists(self.once):
            if self.once:
                open(self.once, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module(force=True)
class LossHook(Hook):
    """Writes a line with its loss for each iteration of this rank into ``losses_RANK.txt`` in the work dir."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with open(f"{runner.work_dir}/losses_{runner.rank}.txt", "a") as file:
            file.write(f"{outputs['loss'].item()!r}\n")


def warm_up():
    """Do once what every run would spend seconds on: compiling the kernel, and describing the machine."""
    from mmengine.runner import Runner

    from smix_mm.saliency import FineGrainedSaliency

    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    FineGrainedSaliency().extreme(images, True, None)
    Runner._log_env = lambda self, env_cfg: None


def main():
    # Some packages print when they are imported.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warm_up()
    while (line := sys.stdin.readline()).strip():
        order = json.loads(line)
        for package in order["packages"]:
            import_module(package)
        child = os.fork()
        if not child:
            run(order)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def run_tool(order):
    sys.argv[0] = f"{order['program']}.py"
    return import_module(f"smix_mm.cli.{order['program']}").main(order["arguments"])


def run_plainly(arguments):
    """mmengine's Runner as it comes, from: CONFIG --work-dir DIR --cfg-options KEY=VALUE..."""
    from mmengine.config import Config
    from mmengine.runner import Runner

    config, _, work_dir, _, *options = arguments
    cfg = Config.fromfile(config)
    cfg.work_dir = work_dir
    cfg.merge_from_dict({name: literal_eval(value) for name, value in (option.split("=") for option in options)})
    Runner.from_cfg(cfg).train()
    return 0


def run(order):
    out = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.update(order["environment"])
    torch.set_num_threads(1)
    np.random.seed()  # else every run would make up the same seed
    sys.path[:0] = order["environment"].get("PYTHONPATH", "").split(os.pathsep)
    status = 70
    try:
        status = run_plainly(order["arguments"]) if order["program"] == "plain" else run_tool(order)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
