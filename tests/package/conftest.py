"""The package as others get it: built, and installed into environments made for the purpose."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
NOT_SOURCE = (".*", "__pycache__", "*.egg-info", "build", "dist", "data", "work_dirs")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``sdist``; ``wheel``, built from it, as pip does; and ``wheel from tree``."""
    folder = tmp_path_factory.mktemp("built")
    # A copy, because a build leaves folders where it runs.
    tree = Path(shutil.copytree(ROOT, folder / "tree", ignore=ignored))
    sdist = build("sdist", tree, folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return {
        "sdist": sdist,
        "wheel": build("wheel", unpacked, folder / "from sdist"),
        "wheel from tree": build("wheel", tree, folder / "from tree"),
    }


def ignored(folder: str, names: list[str]) -> set[str]:
    ignore = shutil.ignore_patterns(*NOT_SOURCE) if Path(folder) == ROOT else shutil.ignore_patterns("__pycache__")
    return ignore(folder, names)


def build(kind: str, source: Path, out: Path) -> Path:
    out.mkdir()
    code = f"import setuptools.build_meta as backend; backend.build_{kind}({str(out)!r})"
    built = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = out.iterdir()
    return file


@pytest.fixture(scope="session")
def make_environment(built, tmp_path_factory):
    """A function that makes an environment with this package's wheel and nothing but what is named beside it.

    It returns the environment's Python. The other packages are this environment's own, under links, with all
    that they need of it.
    """

    def make(*packages: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=False)
        site = Path(sysconfig.get_path("purelib", vars=dict(base=str(folder), platbase=str(folder))))
        for name in needed(packages):
            for entry in top_levels(name):
                if not (site / entry.name).exists():
                    (site / entry.name).symlink_to(entry)
        python = folder / "bin" / "python"
        # By pip's own rules for a foreign environment: what is missing there is not fetched.
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps"]
        subprocess.run([*map(str, command), str(built["wheel"])], check=True)
        return python

    return make


def needed(packages: tuple[str, ...]) -> set[str]:
    """The packages and all that they need, as far as it is installed here."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in packages]
    while waiting:
        name = waiting.pop()
        if name in found or name == "smix-mm":
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        for requirement in map(Requirement, requires):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return found


def top_levels(name: str) -> set[Path]:
    """What a package has directly in site-packages."""
    distribution = importlib.metadata.distribution(name)
    site = Path(str(distribution.locate_file("")))
    tops = {file.parts[0] for file in distribution.files or []}
    return {site / top for top in tops if top not in ("..", "__pycache__", "bin") and (site / top).exists()}
