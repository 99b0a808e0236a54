"""Real pictures in small, and a real browser."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Config of four photographs that scikit-image brings, 224x224, mixed by SaliencyMix."""
    if find_spec("skimage") is None:
        pytest.skip("no scikit-image, whose photographs are needed: pip install scikit-image")
    return ROOT / "docs/figures/photographs.py"


@pytest.fixture(scope="session")
def crops(photographs, tmp_path_factory) -> Path:
    """CIFAR-10 in small, of 32x32 crops of those photographs: train/<class>/*.png and test/<class>/*.png."""
    import cv2
    import numpy as np

    from smix_mm.visualization.picture_files import list_pictures, random_crops, read_picture

    out, random = tmp_path_factory.mktemp("crops"), np.random.default_rng(0)
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
    for number, path in enumerate(list_pictures([f"skimage:{name}" for name in names])):
        for index, crop in enumerate(random_crops(read_picture(path), 32, 20, random)):
            for split in ("train", "test"):
                folder = out / split / classes[(4 * index + number) % 10]
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f"{number}_{index}.png"), crop[:, :, ::-1])
    return out


class Browser:
    """Chromium through the W3C WebDriver protocol, as far as the tests need it."""

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
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path: Path, fragment: str = "") -> None:
        # A page of its own each time: another fragment alone would not load it again.
        self.call("POST", "/url", url="about:blank")
        self.call("POST", "/url", url=path.as_uri() + fragment)

    def run(self, script: str):
        """The value that a script returns."""
        return self.call("POST", "/execute/sync", script=script, args=[])

    def find(self, selector: str) -> str:
        return next(iter(self.call("POST", "/element", using="css selector", value=selector).values()))

    def press(self, selector: str, keys: str) -> None:
        self.call("POST", f"/element/{self.find(selector)}/value", text=keys)

    def complaints(self) -> list[str]:
        """What stands in the browser's console since this was asked last."""
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
