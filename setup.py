"""Everything about the package stands in pyproject.toml, but for what setuptools cannot say there.

OpenMMLab's package manager mim looks for configs and tools inside the installed package, in
``.mim``; a build puts copies of them there. An editable install needs none: there mim finds the
project's own folders.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FOR_MIM = ("configs", "tools", "model-index.yml")


class BuildWithMim(build_py):
    """Builds the package, and ``.mim`` in it."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        mim = Path(self.build_lib, "smix_mm", ".mim")
        # An earlier build may have left what is no longer there.
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in FOR_MIM:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, mim / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, mim / name)


setup(cmdclass={"build_py": BuildWithMim})
