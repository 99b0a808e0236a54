"""The command ``smix-mm``: every command line of this package under one name."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Sequence

from ..utils.command_line import run_command
from ..utils.errors import PackageError
from ..version import __version__
from . import make_parser, run

PROGRAM = "smix-mm"
COMMANDS = {
    "new-config": ("new_config", "write a short config for your own images"),
    "check-data": ("check_data", "check the images and annotations that a config reads"),
    "prepare-data": ("prepare_data", "download, unpack and check a data set"),
    "convert-data": ("convert_data", "convert boxes between VOC, COCO and YOLO format"),
    "browse": ("browse_mix", "draw how a config's training batches are mixed"),
    "train": ("train", "train a classifier or a detector"),
    "test": ("test", "evaluate a classifier or a detector"),
    "predict": ("predict", "draw and write predictions on a folder of images"),
    "replay": ("replay_batch", "find where a batch that stopped a training fails"),
    "publish": ("publish_backbone", "write the backbone of a checkpoint for detectors"),
    "prove": ("prove", "prove that a detector loads a published backbone whole"),
    "study": ("study", "compare pretrainings over seeds: run, status, report"),
    "robustness": ("test_robustness", "accuracy on clean, attacked and corrupted images"),
    "compare-cam": ("compare_cam", "draw class activation maps of several checkpoints"),
    "compare-detections": ("compare_detections", "draw detections of several arms"),
    "experiments": ("list_experiments", "the rows of the paper's tables, and how to run them"),
    "openmmlab": ("openmmlab", "run a script of MMDetection or mmpretrain"),
    "doctor": ("doctor", "check the environment"),
    "measure-area": ("measure_area", "share of the images that each arm replaces"),
    "released-code-map": ("show_released_code_map", "the map of the released code beside the correct one"),
    "benchmark-saliency": ("benchmark_saliency", "time the saliency detectors"),
    "benchmark-training": ("benchmark_training", "time training steps with and without mixing"),
    "benchmark-cifar": ("benchmark_cifar", "count the images a second of whole trainings"),
    "benchmark-data-pipeline": ("benchmark_data_pipeline", "count the images a second that data workers prepare"),
    "gpu-check": ("gpu_check", "run every test that needs a GPU, and the benchmarks"),
}
"""Name of each command; its module in this package, and what it does."""

SHELLS = ("bash", "zsh")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``smix-mm COMMAND ...`` with these arguments, by default the process's; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return run(COMMANDS[given[0]][0], given[1:], f"{PROGRAM} {given[0]}")
    listed = [f"  {command:<23} {summary}" for command, (_, summary) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND ...",
        description="\n".join(["SaliencyMix for OpenMMLab, and a fair comparison of pretrainings.", *listed]),
        epilog="smix-mm COMMAND --help shows options; --completion bash|zsh, a script for the shell",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    # Their help would take lines from the commands.
    hidden: Any = dict(help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="?", **hidden)
    parser.add_argument("-h", "--help", action="help", **hidden)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}", **hidden)
    parser.add_argument("--completion", choices=SHELLS, **hidden)
    options = parser.parse_args(given)
    if options.completion:
        return run_command(lambda: print(completion(options.completion)), PROGRAM)
    if options.command:
        parser.error(f"COMMAND should be one of {', '.join(COMMANDS)}, got {options.command!r}.")
    parser.print_help()
    return 2


def completion(shell: str) -> str:
    """A script for ``'bash'`` or ``'zsh'`` that completes commands, options and files."""
    try:
        import shtab
    except ImportError as error:
        raise PackageError("completion needs shtab, which is not installed: pip install shtab") from error
    parser = argparse.ArgumentParser(prog=PROGRAM)
    commands = parser.add_subparsers()
    for command, (module, summary) in COMMANDS.items():
        one = make_parser(module, f"{PROGRAM} {command}", commands.add_parser(command, help=summary))
        _complete_files(one, shtab.FILE)
    return shtab.complete(parser, shell)


def _complete_files(parser: argparse.ArgumentParser, file: Any) -> None:
    """Let every argument that is free text be completed with files; nearly all are configs, folders and files."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                _complete_files(one, file)
        elif action.choices is None and action.type is None and action.nargs != 0:
            action.complete = file  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
