"""Which operators ``import mmcv.ops`` finds, in processes of their own."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

pytest.importorskip("mmcv")

ROOT = Path(__file__).parents[2]
NMS = """
import torch
boxes, scores = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]]), torch.tensor([0.9, 0.8, 0.7])
for _ in range(2):
    print(mmcv.ops.nms(boxes, scores, iou_threshold=0.5)[1].tolist())
"""


@pytest.fixture
def mmcv_folder(mmcv_without_operators: str, tmp_path: Path) -> Path:
    """An mmcv without operators, to add a module of operators to; its parent belongs in PYTHONPATH."""
    (tmp_path / "mmcv").mkdir()
    for part in Path(mmcv_without_operators.split(os.pathsep)[0], "mmcv").iterdir():
        (tmp_path / "mmcv" / part.name).symlink_to(part)
    return tmp_path / "mmcv"


def python(code: str, path: str | Path, **environment: str) -> str:
    """What a Python prints, with ``path`` in front of PYTHONPATH."""
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)]), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout + finished.stderr


def test_without_compiled_operators_torchvisions_run_and_are_logged_once(mmcv_without_operators: str) -> None:
    out = python("import smix_mm, mmcv.ops" + NMS, mmcv_without_operators)
    assert out.count("[0, 2]") == 2
    (line,) = [line for line in out.splitlines() if "torchvision" in line]
    assert "torchvision's in place of mmcv's (none are compiled)" in line
    for operator in ("deform_conv", "nms", "roi_align", "roi_pool", "sigmoid_focal_loss", "softmax_focal_loss"):
        assert f" {operator}" in line


def test_of_several_processes_only_rank_0_logs(mmcv_without_operators: str) -> None:
    code = """
import smix_mm, mmcv.ops, torch.distributed
torch.distributed.init_process_group("gloo", init_method="tcp://127.0.0.1:PORT", rank=RANK, world_size=2)
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        code = code.replace("PORT", str(free.getsockname()[1]))
    with ThreadPoolExecutor() as both:
        outs = list(both.map(lambda rank: python(code.replace("RANK", rank) + NMS, mmcv_without_operators), "01"))
    assert [out.count("[0, 2]") for out in outs] == [2, 2]
    assert [out.count("torchvision's in place") for out in outs] == [1, 0]


def test_importing_smix_mm_repairs_an_import_that_failed_before(mmcv_without_operators: str) -> None:
    code = """
try:
    import mmcv.ops
except ModuleNotFoundError as error:
    print(error)
import smix_mm, mmcv.ops
"""
    out = python(code + NMS, mmcv_without_operators)
    assert "No module named 'mmcv._ext'" in out
    assert out.count("[0, 2]") == 2


def test_operators_that_mmcv_has_are_never_replaced(mmcv_folder: Path) -> None:
    (mmcv_folder / "_ext.py").write_text(
        "def __getattr__(name):\n    if name[:2] == '__': raise AttributeError\n    return lambda: '13.0'\n"
    )
    code = """
import smix_mm, mmcv._ext
from smix_mm.utils import mmcv_operators
print(mmcv._ext.__name__, mmcv._ext.__file__, mmcv._ext.__spec__.origin, mmcv_operators.describe(), sep="|")
"""
    found = python(code, mmcv_folder.parent).strip().splitlines()[-1].split("|")
    assert found == ["mmcv._ext", *2 * [str(mmcv_folder / "_ext.py")], "compiled by mmcv (CUDA 13.0)"]


def test_operators_that_do_not_load_are_named_with_the_reason_and_torchvisions_run(mmcv_folder: Path) -> None:
    (mmcv_folder / f"_ext{EXTENSION_SUFFIXES[0]}").write_bytes(b"not a library")
    out = python("import smix_mm, mmcv.ops" + NMS, mmcv_folder.parent)
    assert out.count("[0, 2]") == 2
    (line,) = [line for line in out.splitlines() if "do not load" in line]
    assert "WARNING" in line
    assert f"_ext{EXTENSION_SUFFIXES[0]}: " in line and "they were compiled for another torch" in line


@pytest.mark.parametrize("tool", sorted((ROOT / "tools").glob("*.py")), ids=lambda tool: tool.name)
def test_a_tool_imports_smix_mm_before_anything_that_imports_mmcvs_operators(tool: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(tool.read_text())) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [
        name
        for node in sorted(imports, key=lambda node: node.lineno)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    ]
    first = next(name for name in names if name.split(".")[0] in ("smix_mm", "mmcv", "mmdet", "mmpretrain", "mmseg"))
    assert first.split(".")[0] == "smix_mm"


def test_workers_that_are_spawned_find_the_operators_as_well(mmcv_without_operators: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import smix_mm
from torch.utils.data import DataLoader
from mmdet.datasets.transforms import RandomFlip

if __name__ == "__main__":
    transforms = [RandomFlip(prob=0.5)]
    loader = DataLoader(transforms, num_workers=1, multiprocessing_context="spawn", collate_fn=repr)
    print(list(loader))
""")
    pytest.importorskip("mmdet")
    code = f"import subprocess, sys; subprocess.run([sys.executable, {str(script)!r}], check=True)"
    assert "RandomFlip(prob=0.5" in python(code, mmcv_without_operators)


def test_the_command_in_the_documentation_runs_a_script_that_imports_the_operators_first(
    mmcv_without_operators: str, tmp_path: Path
) -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text()
    (command,) = [line for line in text.splitlines() if line.startswith('python -c "import smix_mm, runpy')]
    script = tmp_path / "script.py"
    script.write_text("import sys, mmcv.ops\nprint(sys.argv[1:], __name__)\n")
    command = command.replace("python", sys.executable, 1).replace("SCRIPT OPTIONS", f"{script} --option 1")
    out = python(f"import subprocess; subprocess.run({command!r}, shell=True, check=True)", mmcv_without_operators)
    assert "['--option', '1'] __main__" in out
