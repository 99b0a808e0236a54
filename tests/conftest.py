"""What tests of several rooms share."""

import os
import re
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image

import smix_mm  # noqa: F401  (before a test imports mmdet: from here on mmcv.ops finds operators)

ROOT = Path(__file__).parents[1]
NEEDS_GPU = "needs a GPU"


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=NEEDS_GPU))


def pytest_terminal_summary(terminalreporter):
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NEEDS_GPU in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests need a GPU and were skipped")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request) -> str:
    """Each device: what a test does on a GPU, it does on the CPU as well."""
    return request.param


@pytest.fixture
def forbid_waiting():
    """A function that calls another one, in which torch raises where the CPU would wait for the GPU."""

    def run(call):
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            return call()
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return run


@pytest.fixture(autouse=True)
def default_scope_kept():
    """What a test does to mmengine's default scope, as each Runner does, is not the next one's."""
    kept = DefaultScope._instance_dict.copy()
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(kept)


@pytest.fixture(scope="session")
def smix_data() -> Path:
    """The folder of real data that ``SMIX_DATA`` names; tests that need it are skipped without it."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SMIX_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data: set SMIX_DATA to the folder of real data ({folder} is none)")
    return folder


@pytest.fixture(scope="session")
def few_cifar10(smix_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real CIFAR-10 pictures as folders, 24 a class to train and 4 to test."""
    out = tmp_path_factory.mktemp("cifar10")
    wanted = {"train": 24, "test": 4}
    taken: dict[str, int] = {}
    with tarfile.open(smix_data / "cifar10-jpeg.tar.xz") as archive:
        for member in archive:
            parts = Path(member.name).parts[-3:]
            folder = "/".join(parts[:-1])
            if member.isfile() and len(parts) == 3 and taken.get(folder, 0) < wanted.get(parts[0], 0):
                taken[folder] = taken.get(folder, 0) + 1
                path = out.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
    assert len(taken) == 20
    return out


@pytest.fixture(scope="session")
def mmcv_without_operators(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PYTHONPATH that begins with an mmcv like the installed one, but for its compiled operators."""
    folder = tmp_path_factory.mktemp("without_operators")
    (folder / "mmcv").mkdir()
    for part in Path(find_spec("mmcv").origin).parent.iterdir():
        if not part.name.startswith("_ext."):
            (folder / "mmcv" / part.name).symlink_to(part)
    return os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="session")
def made_up_cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of noise in folders as those of ``few_cifar10``, for tests that need no real ones."""
    out = tmp_path_factory.mktemp("made_up_cifar10")
    random = np.random.default_rng(0)
    for split, number in (("train", 24), ("test", 4)):
        for label in range(10):
            folder = out / split / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(number):
                image = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(image).save(folder / f"{index:02d}.png")
    return out


def run_tool(*command: object, check: bool = True, timeout: float = 500, cwd: Path = ROOT, **environment: object):
    """Run a program of the project as a user would, from its root unless told otherwise."""
    command = tuple(map(str, command))
    if command[0].endswith(".py"):
        command = (sys.executable, *command)
    finished = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHON": sys.executable, **{name: str(value) for name, value in environment.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=timeout,
    )
    if check:
        assert finished.returncode == 0, finished.stdout[-4000:]
    return finished


@pytest.fixture(name="run_tool", scope="session")
def _run_tool():
    return run_tool


def losses(output: str) -> list[float]:
    """Every training loss in a log."""
    return [float(value) for value in re.findall(r"Epoch\(train\).*? loss: (\S+)", output)]


@pytest.fixture(name="losses", scope="session")
def _losses():
    return losses
