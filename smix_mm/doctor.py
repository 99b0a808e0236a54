"""Checks of the environment.

Each check prints one line: what was checked, the result, and how to fix it. An error is a result too, and does not stop
the other checks.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .utils import mmcv_operators
from .utils.packages import OPENMMLAB as FIXES
from .utils.packages import TORCH, first_line, how_to_fix

ABSENT = "absent"

# The import of these packages succeeds even if this part, with the classes for configs, is broken.
PARTS = {"mmpretrain": "models", "mmdet": "models"}

OPENCVS = tuple(f"opencv-{kind}" for kind in ("python", "python-headless", "contrib-python", "contrib-python-headless"))


@dataclass(frozen=True)
class Finding:
    """The result of a check."""

    name: str  # what was checked
    ok: bool  # whether it is good enough for this package
    found: str  # the result, such as a version or an error
    fix: str = ""  # how to fix it, or advice if `ok`; empty if there is nothing to do

    @property
    def status(self) -> str:
        """``'ok'``, ``'note'`` (ok, with advice), ``'absent'`` or ``'wrong'``."""
        if self.found == ABSENT:
            return ABSENT
        return ("note" if self.fix else "ok") if self.ok else "wrong"

    def __str__(self) -> str:
        line = f"{self.status:<6}  {self.name}: {self.found}"
        return f"{line}; to fix: {self.fix}" if self.fix else line


def _check(name: str, fix: str) -> Callable[[Callable[..., tuple[bool, str, str]]], Callable[..., Finding]]:
    """Decorate a check, which returns ok, found and fix; a broken package may raise any error on import.

    Args:
        name, fix: Of the finding. ``{0}`` and ``{1}`` are the arguments of the check.
    """

    def decorate(check: Callable[..., tuple[bool, str, str]]) -> Callable[..., Finding]:
        def run(*arguments: str) -> Finding:
            called = name.format(*arguments)
            try:
                return Finding(called, *check(*arguments))
            except Exception as error:
                absent = isinstance(error, ModuleNotFoundError) and error.name == called.partition(".")[0]
                return Finding(called, False, ABSENT if absent else first_line(error), fix.format(*arguments))

        return run

    return decorate


@_check("{0}", "{1}")
def check_import(module: str, fix: str) -> tuple[bool, str, str]:
    """Imports ``module`` and its part in :data:`PARTS`, and finds the version."""
    version = _version(importlib.import_module(module))
    if module in PARTS:
        importlib.import_module(f"{module}.{PARTS[module]}")
    return True, version, ""


@_check("GPU", TORCH)
def check_gpu() -> tuple[bool, str, str]:
    """Finds the GPUs that torch can use; none are needed."""
    import torch

    # torch gives the reason why it cannot use a GPU, such as an old driver, only in a warning.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count:
        return True, ", ".join(map(torch.cuda.get_device_name, range(count))), ""
    if caught:
        return True, first_line(caught[0].message), "update the NVIDIA driver (the CPU is used until then)"
    return True, "none, the CPU is used", ""


@_check("mmcv.ops", FIXES["mmcv"])
def check_operators() -> tuple[bool, str, str]:
    """Finds whether mmcv runs its own operators or torchvision's as replacements."""
    found = mmcv_operators.describe()
    return True, found, mmcv_operators.HOW_TO_COMPILE if mmcv_operators.load_error else ""


@_check("mmcv.ops.nms on {0}", FIXES["mmcv"])
def check_nms(device: str) -> tuple[bool, str, str]:
    """Runs mmcv's non-maximum suppression on three boxes, of which two overlap."""
    import torch

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=device)
    scores = torch.tensor([0.9, 0.8, 0.7], device=device)
    try:
        kept = importlib.import_module("mmcv.ops").nms(boxes, scores, iou_threshold=0.5)[1].tolist()
    except RuntimeError as error:
        if device == "cpu" or "implementation for device" not in str(error):
            raise
        return (
            True,
            "mmcv has CPU operators only: detectors cannot train on the GPU, all else can",
            "`make setup MMCV_OPS=0` for torchvision's operators, or install the CUDA toolkit of torch's CUDA "
            "version, remove .venv and run `make setup MMCV_OPS=1`",
        )
    if kept != [0, 2]:
        return False, f"kept the boxes {kept}, where [0, 2] is right", FIXES["mmcv"]
    return True, "right", ""


def _version(module: object) -> str:
    return str(getattr(module, "__version__", "of unknown version"))


def _fix_opencv(names: Sequence[str]) -> str:
    # Uninstalling one of two removes files of the other, so all have to be uninstalled.
    uninstall = f"pip uninstall -y {' '.join(names)} && " if names else ""
    return f"{uninstall}pip install 'opencv-contrib-python-headless>=4.10,<5'"


def check_one_opencv() -> Finding:
    """Finds the installed OpenCV distributions; there should be one, because all are installed into the same folder."""
    installed = {(one.metadata["Name"] or "").lower() for one in importlib.metadata.distributions()}
    found = [name for name in OPENCVS if {name, name.replace("-", "_")} & installed]
    fix = "" if len(found) == 1 else _fix_opencv(found)
    return Finding("one OpenCV", len(found) == 1, ", ".join(found) or ABSENT, fix)


@_check("cv2.saliency", _fix_opencv(OPENCVS))
def check_cv2_saliency() -> tuple[bool, str, str]:
    """Imports OpenCV and finds whether it has saliency detectors, which only its contrib build contains."""
    cv2 = importlib.import_module("cv2")
    if hasattr(getattr(cv2, "saliency", None), "StaticSaliencyFineGrained_create"):
        return True, f"OpenCV {_version(cv2)}", ""
    return False, f"not in OpenCV {_version(cv2)}: not a contrib build, or a damaged one", _fix_opencv(OPENCVS)


def check_environment(plain: bool = False) -> list[Finding]:
    """Runs every check; if ``plain``, not those of what only the OpenMMLab part needs, and OpenCV's if installed."""
    base = [check_import("torch", TORCH), check_gpu()]
    opencv = [check_one_opencv(), check_cv2_saliency()]
    if plain:
        return base + [finding for finding in opencv if finding.status != ABSENT]
    imports = [check_import(module, how_to_fix(module)) for module in FIXES]
    torch = sys.modules.get("torch")
    devices = ["cpu", "cuda"] if torch and torch.cuda.is_available() else ["cpu"]
    return [*base, *imports, check_operators(), *map(check_nms, devices), *opencv]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the findings; returns the exit status, 0 if everything is ok, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m smix_mm.doctor",
        description="Check that this environment can do what smix_mm needs. The exit status is 0 if it can, else 1.",
        epilog="example: python -m smix_mm.doctor --plain",
    )
    parser.add_argument("--plain", action="store_true", help="omit what only the OpenMMLab part needs")
    plain = parser.parse_args(arguments).plain
    # Without the packages' own warnings, which are many.
    logging.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        findings = check_environment(plain)
    logging.disable(logging.NOTSET)
    print(*findings, sep="\n")
    return 0 if all(finding.ok for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
