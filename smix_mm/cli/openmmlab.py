"""Run a script that MMDetection or mmpretrain has installed, with torchvision's operators in place of mmcv's.

examples:
  python tools/openmmlab.py mmdet
  python tools/openmmlab.py mmdet analysis_tools/get_flops.py my_detector.py
  python tools/openmmlab.py mmdet analysis_tools/confusion_matrix.py my_detector.py predictions.pkl confusion
"""

import argparse
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from ..utils.errors import PackageError, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("package", choices=("mmdet", "mmpretrain"))
    add("script", nargs="?", help="below the package's tools folder; without it, all are listed")
    add("arguments", nargs=argparse.REMAINDER, help="of the script")


def run(options: argparse.Namespace) -> None:
    spec = find_spec(options.package)
    if spec is None or spec.origin is None:
        raise PackageError(f"{options.package} is not installed.")
    folder = Path(spec.origin).parent / ".mim" / "tools"
    scripts = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    if options.script is None:
        print("\n".join(scripts))
        return
    if options.script not in scripts:
        raise UsageError(
            f"script should be one that `{options.package}` alone lists, such as analysis_tools/get_flops.py, got "
            f"{options.script}."
        )
    from ..engine.safe_loading import load_safely

    load_safely()
    sys.argv = [str(folder / options.script), *options.arguments]
    sys.path.insert(0, str((folder / options.script).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
