"""Train a classifier or a detector from its config."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..utils.choices import NONFINITE_ACTIONS
from ..utils.command_line import RESUME, add_common_arguments
from . import run as run_command_line

EXAMPLES = """examples:
  python tools/train.py configs/cifar10/resnet18_saliencymix_cifar10.py
  python tools/train.py configs/cifar10/resnet18_saliencymix_cifar10.py --resume
  python tools/train.py CONFIG --resume epoch_3.pth --config-schedule --cfg-options optim_wrapper.optimizer.lr=0.01
  python tools/train.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py --preflight
  python tools/train.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py --amp \\
      --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
"""
INTERRUPTED = AFTER_FAILURE = RESUME


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="config file of mmpretrain or MMDetection")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="PATH",
        help="resume from PATH, or without a path from the newest complete checkpoint in the work dir",
    )
    parser.add_argument(
        "--config-schedule",
        action="store_true",
        help="with --resume: learning rate, schedules and optimizer settings of the config, not of the checkpoint",
    )
    parser.add_argument(
        "--preflight",
        action="store_true",
        help="only report where the config contradicts itself, its data or its weights; exit status 1 if it does",
    )
    parser.add_argument("--no-preflight", action="store_true", help="start also a config that contradicts itself")
    parser.add_argument("--amp", action="store_true", help="mixed precision (needs a GPU)")
    parser.add_argument("--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size")
    parser.add_argument("--no-validate", action="store_true", help="do not evaluate during training")
    parser.add_argument(
        "--on-nonfinite",
        choices=NONFINITE_ACTIONS,
        help="if a loss is not finite: stop before the weights are updated (default), or skip the iteration",
    )
    add_common_arguments(parser)


def run(options: argparse.Namespace) -> int:
    from ..engine.launch import export_local_rank
    from ..engine.train import train

    if options.preflight:
        return _preflight(options)
    export_local_rank(options.local_rank)
    names = ("work_dir", "resume", "amp", "auto_scale_lr", "no_validate", "on_nonfinite", "config_schedule")
    settings = {name: getattr(options, name) for name in (*names, "cfg_options", "launcher")}
    train(options.config, **settings, check_config=not options.no_preflight)
    return 0


def _preflight(options: argparse.Namespace) -> int:
    from ..engine.launch import load_config
    from ..engine.resume.config import choose_checkpoint
    from ..preflight import CONTRADICTION, format_findings, preflight

    cfg = load_config(options.config, options.work_dir, options.cfg_options, "none")
    findings = preflight(cfg, choose_checkpoint(cfg, options.resume).checkpoint, options.config_schedule)
    print(format_findings(findings))
    return int(any(finding.level == CONTRADICTION for finding in findings))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, as ``python -m`` and a study do."""
    return run_command_line("train", arguments)


if __name__ == "__main__":
    sys.exit(main())
