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
    """The result of a check.

    Args:
        name: What was checked.
        ok: Whether it is good enough for this package.
        found: The result, such as a version or an error.
        fix: How to fix it, or advice if ``ok``. Empty if there is nothing to do.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""

    @property
    def status(self) -> str:
        """``'ok'``, ``'note'`` (ok, with advice), ``'absent'`` or ``'wrong'``."""
        if self.found == ABSENT:
            return ABSENT
        return ("note" if self.fix else "ok") if self.ok else "wrong"

    def __str__(self) -> str:
        line = f"{self.status:<6}  {self.name}: {self.found}"
        return f"{line}; to fix: {self.fix}" if self.fix else line


def _strict(name: str, fix: str, check: Callable[[], tuple[bool, str, str]]) -> Finding:
    """The result of ``check`` (ok, found, fix), or its error; a broken package may raise any error on import."""
    try:
        return Finding(name, *check())
    except Exception as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]
        return Finding(name, False, ABSENT if absent else first_line(error), fix)


def check_import(module: str, fix: str, part: str | None = None) -> Finding:
    """Imports ``module``, and its submodule ``part`` if given, and finds the version."""

    def check() -> tuple[bool, str, str]:
        version = _version(importlib.import_module(module))
        if part is not None:
            importlib.import_module(f"{module}.{part}")
        return True, version, ""

    return _strict(module, fix, check)


def check_gpu() -> Finding:
    """Finds the GPUs that torch can use; none are needed."""

    def check() -> tuple[bool, str, str]:
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

    return _strict("GPU", TORCH, check)


def check_operators() -> Finding:
    """Finds whether mmcv runs its own operators or torchvision's as replacements."""

    def check() -> tuple[bool, str, str]:
        found = mmcv_operators.describe()
        return True, found, mmcv_operators.HOW_TO_COMPILE if mmcv_operators.load_error else ""

    return _strict("mmcv.ops", FIXES["mmcv"], check)


def check_nms(device: str) -> Finding:
    """Runs mmcv's non-maximum suppression on three boxes, of which two overlap."""

    def check() -> tuple[bool, str, str]:
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
        right = kept == [0, 2]
        return right, "right" if right else f"kept the boxes {kept}, where [0, 2] is right", "" if right else fix

    fix = FIXES["mmcv"]
    return _strict(f"mmcv.ops.nms on {device}", fix, check)


def check_one_opencv() -> Finding:
    """Finds the installed OpenCV distributions; there should be one, because all are installed into the same folder."""
    installed = {(one.metadata["Name"] or "").lower() for one in importlib.metadata.distributions()}
    found = [name for name in OPENCVS if {name, name.replace("-", "_")} & installed]
    fix = "" if len(found) == 1 else _fix_opencv(found)
    return Finding("one OpenCV", len(found) == 1, ", ".join(found) or ABSENT, fix)


def check_cv2_saliency() -> Finding:
    """Imports OpenCV and finds whether it has saliency detectors, which only its contrib build contains."""
    fix = _fix_opencv(OPENCVS)

    def check() -> tuple[bool, str, str]:
        cv2 = importlib.import_module("cv2")
        if hasattr(getattr(cv2, "saliency", None), "StaticSaliencyFineGrained_create"):
            return True, f"OpenCV {_version(cv2)}", ""
        return False, f"not in OpenCV {_version(cv2)}: not a contrib build, or a damaged one", fix

    return _strict("cv2.saliency", fix, check)


def check_environment(plain: bool = False) -> list[Finding]:
    """Runs every check; if ``plain``, not those of what only the OpenMMLab part needs, and OpenCV's if installed."""
    base = [check_import("torch", TORCH), check_gpu()]
    opencv = [check_one_opencv(), check_cv2_saliency()]
    if plain:
        return base + [finding for finding in opencv if finding.status != ABSENT]
    imports = [check_import(module, how_to_fix(module), PARTS.get(module)) for module in FIXES]
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


def _version(module: object) -> str:
    return str(getattr(module, "__version__", "of unknown version"))


def _fix_opencv(names: Sequence[str]) -> str:
    # Uninstalling one of two removes files of the other, so all have to be uninstalled.
    uninstall = f"pip uninstall -y {' '.join(names)} && " if names else ""
    return f"{uninstall}pip install 'opencv-contrib-python-headless>=4.10,<5'"


if __name__ == "__main__":
    sys.exit(main())
