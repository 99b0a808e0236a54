"""The check of the environment, on environments that are broken in one way each."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from smix_mm import doctor
from smix_mm.utils import mmcv_operators


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these be the installed distributions."""

    def distribution(name: str) -> SimpleNamespace:
        metadata = Message()
        metadata["Name"] = name
        return SimpleNamespace(metadata=metadata)

    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [distribution(name) for name in names])


def install_nms(monkeypatch: pytest.MonkeyPatch, nms: Callable[..., Any]) -> None:
    """Let this be mmcv's operator."""
    operators = ModuleType("mmcv.ops")
    operators.nms = nms  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mmcv", ModuleType("mmcv"))
    monkeypatch.setitem(sys.modules, "mmcv.ops", operators)


def test_the_project_s_own_environment_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("mmcv", "mmpretrain", "mmdet", "cv2"):
        pytest.importorskip(module)
    assert doctor.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "note"}
    assert "ok      mmcv.ops.nms on cpu: right" in lines
    assert f"ok      mmcv.ops: {mmcv_operators.describe()}" in lines


def test_two_opencvs_are_both_named_and_both_uninstalled(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "numpy", "opencv_python", "opencv-contrib-python-headless")
    finding = doctor.check_one_opencv()
    assert (finding.ok, finding.status) == (False, "wrong")
    assert finding.found == "opencv-python, opencv-contrib-python-headless"
    assert finding.fix.startswith("pip uninstall -y opencv-python opencv-contrib-python-headless && pip install ")


@pytest.mark.parametrize("name", ["opencv-contrib-python", "opencv-contrib-python-headless"])
def test_either_contrib_opencv_alone_is_fine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    install(monkeypatch, "numpy", name)
    assert doctor.check_one_opencv() == doctor.Finding("one OpenCV", True, name)


def test_an_opencv_that_is_not_the_contrib_build_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", ModuleType("cv2"))
    finding = doctor.check_cv2_saliency()
    assert finding.status == "wrong"
    assert "opencv-contrib-python-headless" in finding.fix


@pytest.mark.parametrize(
    "error",
    [
        "AssertionError('MMCV==9 is used but incompatible')",
        "OSError('libGL.so.1 is missing')",
        "KeyError('version')",
    ],
)
def test_an_import_that_breaks_is_a_finding_with_its_reason_and_the_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: str
) -> None:
    (tmp_path / "broken_package.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    finding = doctor.check_import("broken_package", "pip install whole-package")
    assert finding.status == "wrong"
    name, reason = error.rstrip(")").split("(")
    assert finding.found.startswith(f"{name}: ")
    assert reason.strip("'") in finding.found
    assert str(finding).endswith("; to fix: pip install whole-package")


def test_only_the_first_line_of_a_long_reason_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wordy_package.py").write_text("raise ImportError('numpy 1 is wanted\\nand here is why')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert doctor.check_import("wordy_package", "").found == "ImportError: numpy 1 is wanted"


def test_a_missing_package_is_absent_but_one_that_misses_another_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "needy_package.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert doctor.check_import("no_such_package", "").status == "absent"
    needy = doctor.check_import("needy_package", "")
    assert (needy.status, needy.found) == ("wrong", "ModuleNotFoundError: No module named 'no_such_package'")


def test_compiled_operators_that_do_not_load_are_a_note_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mmcv")
    from smix_mm.utils import torchvision_operators

    monkeypatch.setitem(sys.modules, mmcv_operators.NAME, torchvision_operators)
    monkeypatch.setattr(mmcv_operators, "load_error", "_ext.so: undefined symbol: _ZN3c10")
    finding = doctor.check_operators()
    assert (finding.ok, finding.status) == (True, "note")
    assert "undefined symbol: _ZN3c10" in finding.found and "torchvision's in place of mmcv's" in finding.found
    assert "make setup MMCV_OPS=1" in finding.fix


def test_operators_with_a_wrong_answer_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    install_nms(monkeypatch, lambda boxes, scores, iou_threshold: (boxes, torch.tensor([0, 1, 2])))
    finding = doctor.check_nms("cpu")
    assert finding.status == "wrong"
    assert "[0, 1, 2]" in finding.found
    assert "onedl-mmcv" in finding.fix


def test_operators_that_were_left_out_of_mmcv_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mmcv", ModuleType("mmcv"))
    monkeypatch.delitem(sys.modules, "mmcv.ops", raising=False)
    finding = doctor.check_nms("cpu")
    assert finding.status == "wrong"
    assert "mmcv.ops" in finding.found


def test_cpu_operators_beside_a_gpu_are_a_note_that_says_what_they_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> None:
        raise RuntimeError("nms_impl: implementation for device cuda:0 not found.\n")

    install_nms(monkeypatch, nms)
    # The device "meta" stands for a GPU, which is not everywhere.
    finding = doctor.check_nms("meta")
    assert (finding.ok, finding.status) == (True, "note")
    assert "detectors cannot train on the GPU" in finding.found
    assert "make setup MMCV_OPS=0" in finding.fix and "CUDA toolkit" in finding.fix
    assert doctor.check_nms("cpu").status == "wrong"


def test_a_gpu_that_torch_cannot_use_is_a_note_with_torch_s_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_available() -> bool:
        import warnings

        warnings.warn("The NVIDIA driver on your system is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    finding = doctor.check_gpu()
    assert (finding.ok, finding.status) == (True, "note")
    assert "too old" in finding.found


def test_one_fault_fails_the_whole_and_hides_no_other_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, "opencv-python", "opencv-contrib-python")
    for module in doctor.FIXES:
        monkeypatch.setitem(sys.modules, module, None)
    assert doctor.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    for name in doctor.FIXES:
        assert any(line.startswith(f"absent  {name}: absent; to fix: ") for line in lines)
    assert any(line.startswith("wrong   one OpenCV: ") for line in lines)
    assert any("cv2.saliency: " in line for line in lines)


def test_plain_use_needs_neither_openmmlab_nor_opencv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch)
    for module in (*doctor.FIXES, "cv2"):
        monkeypatch.setitem(sys.modules, module, None)
    assert doctor.main(["--plain"]) == 0
    out = capsys.readouterr().out
    assert "mm" not in out
    assert "OpenCV" not in out
    # Where there is an OpenCV, it has to be whole.
    install(monkeypatch, "opencv-python", "opencv-contrib-python")
    assert doctor.main(["--plain"]) == 1


def test_help_gives_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        doctor.main(["--help"])
    assert "example: python -m smix_mm.doctor --plain" in capsys.readouterr().out
