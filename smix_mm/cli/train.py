"""Train a classifier or a detector from its config.

examples:
  python tools/train.py configs/cifar10/resnet18_saliencymix_cifar10.py
  python tools/train.py configs/cifar10/resnet18_saliencymix_cifar10.py --resume
  python tools/train.py CONFIG --resume epoch_3.pth --config-schedule --cfg-options optim_wrapper.optimizer.lr=0.01
  python tools/train.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py --preflight
  python tools/train.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py --amp \\
      --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..utils.choices import NONFINITE_ACTIONS
from ..utils.command_line import RESUME, add_common_arguments
from . import run as run_command_line

INTERRUPTED = AFTER_FAILURE = RESUME


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", help="config file of mmpretrain or MMDetection")
    add(
        "--resume",
        nargs="?",
        const="auto",
        metavar="PATH",
        help="resume from PATH, or without a path from the newest complete checkpoint in the work dir",
    )
    add(
        "--config-schedule",
        action="store_true",
        help="with --resume: learning rate, schedules and optimizer settings of the config, not of the checkpoint",
    )
    add(
        "--preflight",
        action="store_true",
        help="only report where the config contradicts itself, its data or its weights; exit status 1 if it does",
    )
    add("--no-preflight", dest="check_config", action="store_false", help="start also a config that contradicts itself")
    add("--amp", action="store_true", help="mixed precision (needs a GPU)")
    add("--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size")
    add("--no-validate", action="store_true", help="do not evaluate during training")
    add(
        "--on-nonfinite",
        choices=NONFINITE_ACTIONS,
        help="if a loss is not finite: stop before the weights are updated (default), or skip the iteration",
    )
    add_common_arguments(parser)


def run(options: argparse.Namespace) -> int:
    from ..engine.launch import export_local_rank, load_config
    from ..engine.resume.config import choose_checkpoint
    from ..engine.train import apply_options, train
    from ..preflight import CONTRADICTION, format_findings, preflight

    settings = vars(options)
    export_local_rank(settings.pop("local_rank"))
    if not settings.pop("preflight"):
        train(**settings)
        return 0
    cfg = load_config(options.config, options.work_dir, options.cfg_options, "none")
    resume = apply_options(cfg, options.resume, options.no_validate, options.config_schedule)
    findings = preflight(cfg, choose_checkpoint(cfg, resume).checkpoint, options.config_schedule)
    print(format_findings(findings))
    return int(any(finding.level == CONTRADICTION for finding in findings))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, as ``python -m`` and a study do."""
    return run_command_line("train", arguments)


if __name__ == "__main__":
    sys.exit(main())
