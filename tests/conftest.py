"""Fixtures and helpers shared by the tests of several packages."""

import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image

import smix_mm  # noqa: F401  (before a test imports mmdet, so that mmcv.ops has operators)

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
    """The CPU, and a GPU if there is one."""
    return request.param


@pytest.fixture
def forbid_waiting():
    """A function that calls another function and raises if that makes the CPU wait for the GPU."""

    def run(call):
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            return call()
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return run


FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(autouse=True)
def default_scope_restored():
    """Restore mmengine's default scope after each test, because every Runner changes it."""
    saved = DefaultScope._instance_dict.copy()
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(saved)


@pytest.fixture(scope="session")
def smix_data() -> Path:
    """The folder of real data that ``SMIX_DATA`` names; tests that need it are skipped if it does not exist."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SMIX_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data: set SMIX_DATA to the folder of real data ({folder} does not exist)")
    return folder


@pytest.fixture(scope="session")
def few_cifar10(smix_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real CIFAR-10 images in class folders: 24 per class for training and 4 for testing."""
    out = tmp_path_factory.mktemp("cifar10")
    needed = {"train": 24, "test": 4}
    taken: dict[str, int] = {}
    with tarfile.open(smix_data / "cifar10-jpeg.tar.xz") as archive:
        for member in archive:
            parts = Path(member.name).parts[-3:]
            folder = "/".join(parts[:-1])
            if member.isfile() and len(parts) == 3 and taken.get(folder, 0) < needed.get(parts[0], 0):
                taken[folder] = taken.get(folder, 0) + 1
                path = out.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
    assert len(taken) == 20
    return out


@pytest.fixture
def official_cifar10(_official_cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The training images of ``few_cifar10``, in the order of their files, as CIFAR's official files."""
    from mmpretrain.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    return _official_cifar10


@pytest.fixture(scope="session")
def _official_cifar10(few_cifar10: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cv2

    root = tmp_path_factory.mktemp("official")
    (root / "cifar-10-batches-py").mkdir()
    files = sorted((few_cifar10 / "train").rglob("*.jpg"))
    names = sorted({file.parent.name for file in files})
    pixels = np.stack([cv2.imread(str(file))[..., ::-1].transpose(2, 0, 1) for file in files]).reshape(-1, 3072)
    labels = [names.index(file.parent.name) for file in files]
    for number in range(5):
        part = slice(number * len(files) // 5, (number + 1) * len(files) // 5)
        content = dict(data=pixels[part], labels=labels[part])
        (root / f"cifar-10-batches-py/data_batch_{number + 1}").write_bytes(pickle.dumps(content))
    (root / "cifar-10-batches-py/test_batch").write_bytes(pickle.dumps(content))
    (root / "cifar-10-batches-py/batches.meta").write_bytes(pickle.dumps(dict(label_names=names)))
    return root


@pytest.fixture(scope="session")
def mmcv_without_operators(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PYTHONPATH that begins with a copy of the installed mmcv without its compiled operators."""
    folder = tmp_path_factory.mktemp("without_operators")
    (folder / "mmcv").mkdir()
    for part in Path(find_spec("mmcv").origin).parent.iterdir():
        if not part.name.startswith("_ext."):
            (folder / "mmcv" / part.name).symlink_to(part)
    return os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="session")
def made_up_cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of noise in the folders of ``few_cifar10``, for tests that need no real images."""
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
    """Run a command as a user would, from the project's root by default."""
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
    """All training losses in a log."""
    return [float(value) for value in re.findall(r"Epoch\(train\).*? loss: (\S+)", output)]


@pytest.fixture(name="losses", scope="session")
def _losses():
    return losses


class Browser:
    """Chromium, driven through the W3C WebDriver protocol."""

    def __init__(self, address: str, binary: str, profile: Path) -> None:
        options = {"binary": binary, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        always = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session, self.address = "", address
        self.session = "/session/" + self.call("POST", "/session", capabilities={"alwaysMatch": always})["sessionId"]

    def call(self, method: str, path: str, **body):
        request = urllib.request.Request(
            self.address + self.session + path,
            json.dumps(body).encode() if method == "POST" else None,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["value"]

    def open(self, path: Path, fragment: str = "") -> None:
        # A blank page first: a change of the fragment alone would not load the page again.
        self.call("POST", "/url", url="about:blank")
        address = path.as_uri() + fragment
        self.call("POST", "/url", url=address)
        # The call may return before the page's script has run.
        loaded = f"return location.href === {json.dumps(address)} && document.readyState === 'complete'"
        for _ in range(200):
            if self.run(loaded):
                return
            time.sleep(0.05)
        raise TimeoutError(f"{address} was not loaded")

    def run(self, script: str):
        """The value that a script returns."""
        return self.call("POST", "/execute/sync", script=script, args=[])

    def find(self, selector: str) -> str:
        return next(iter(self.call("POST", "/element", using="css selector", value=selector).values()))

    def press(self, selector: str, keys: str) -> None:
        self.call("POST", f"/element/{self.find(selector)}/value", text=keys)

    def console_messages(self) -> list[str]:
        """Messages of the browser's console since the last call."""
        return [entry["message"] for entry in self.call("POST", "/se/log", type="browser")]


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no browser: install the packages chromium and chromium-driver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        opened = Browser(f"http://127.0.0.1:{port}", binary, tmp_path_factory.mktemp("profile"))
        yield opened
        opened.call("DELETE", "")
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Config with four photographs from scikit-image, 224x224, mixed by SaliencyMix."""
    if find_spec("skimage") is None:
        pytest.skip("the photographs come with scikit-image: pip install scikit-image")
    return ROOT / "docs/figures/photographs.py"


@pytest.fixture(scope="session")
def crops(photographs, tmp_path_factory) -> Path:
    """A small CIFAR-10 of 32x32 crops of these photographs: train/<class>/*.png and test/<class>/*.png."""
    import cv2
    import numpy as np

    from smix_mm.visualization.image_files import list_images, random_crops, read_image

    out, random = tmp_path_factory.mktemp("crops"), np.random.default_rng(0)
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
    for number, path in enumerate(list_images([f"skimage:{name}" for name in names])):
        for index, crop in enumerate(random_crops(read_image(path), 32, 20, random)):
            for split in ("train", "test"):
                folder = out / split / classes[(4 * index + number) % 10]
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f"{number}_{index}.png"), crop[:, :, ::-1])
    return out
