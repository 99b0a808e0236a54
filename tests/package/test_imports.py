"""Which packages are imported by the package, by ``--help``, and by a study that trains nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPENMMLAB = {"mmengine", "mmcv", "mmpretrain", "mmdet"}
HEAVY = OPENMMLAB | {"torch", "torchvision", "scipy", "matplotlib", "cv2", "sklearn", "skimage", "pandas"}

# A tool ends with SystemExit; the list of imported modules is written in any case.
RUN = """
import json, runpy, sys
out, *sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    with open(out, "w") as file:
        json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)
"""


@pytest.fixture
def imported(run_tool, tmp_path):
    """The heavy packages that a script of the project imports."""

    def run(*command: object) -> set[str]:
        run_tool(sys.executable, "-c", RUN, tmp_path / "imported.json", *command)
        return HEAVY & set(json.loads((tmp_path / "imported.json").read_text()))

    return run


def test_the_package_imports_nothing_heavy_and_its_functions_nothing_of_openmmlab(imported, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import smix_mm\n")
    assert imported(script) == set()
    script.write_text("from smix_mm import *\nassert smix_mm_saliency\n".replace("smix_mm_saliency", "saliency_mix"))
    assert imported(script) <= {"torch"}


@pytest.mark.parametrize("tool", sorted(path.name for path in (ROOT / "tools").glob("*.py")))
def test_the_help_of_a_tool_imports_nothing_heavy(tool, imported):
    assert imported(f"tools/{tool}", "--help") == set()


@pytest.mark.parametrize("module", ["smix_mm.doctor", "smix_mm.cli.train", "smix_mm.cli.test"])
def test_the_help_of_a_module_imports_nothing_heavy(module, imported, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import runpy\nrunpy.run_module({module!r}, run_name='__main__')\n")
    assert imported(script, "--help") == set()


def test_plan_status_and_report_of_a_study_need_no_torch(imported, tmp_path):
    study = ("configs/demo/study.py", "--work-dir", tmp_path / "work")
    assert imported("tools/study.py", "run", *study, "--plan") == {"mmengine"}
    assert imported("tools/study.py", "status", *study) == {"mmengine"}
    shutil.copytree(ROOT / "results/first_study", tmp_path / "stored")
    report = ("report", "--work-dir", tmp_path / "stored", "--out", tmp_path / "out")
    assert imported("tools/study.py", *report) <= {"mmengine", "scipy", "matplotlib"}
    assert (tmp_path / "out").is_dir()


def test_modules_of_the_package_are_its_attributes_and_other_names_are_not():
    code = (
        "import smix_mm\n"
        "assert smix_mm.saliency.FineGrainedSaliency and smix_mm.mixing.plan and smix_mm.transfer.prove_loaded\n"
        "assert not hasattr(smix_mm, 'nothing') and not hasattr(smix_mm, '_nothing')\n"
        "assert {'saliency_mix', 'SaliencyMixCollate', '__version__'} <= set(dir(smix_mm))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


TRANSFORMERS = """
__version__ = "5.0.0"


class _BaseAutoModelClass:
    from_pretrained = from_config = None


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (_BaseAutoModelClass,), {})
"""


@pytest.fixture
def beside_transformers(tmp_path):
    """An environment in which transformers 5 is installed: it has most names, except those of its layers."""
    folder = tmp_path / "site"
    for name, version in (("transformers", "5.0.0"), ("pycocotools", "2.0.8")):
        information = folder / f"{name}-{version}.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    package = folder / "transformers"
    (package / "models" / "auto").mkdir(parents=True)
    (package / "models" / "__init__.py").touch()
    (package / "models" / "auto" / "__init__.py").touch()
    (package / "models" / "auto" / "auto_factory.py").write_text("from ... import _BaseAutoModelClass\n")
    (package / "__init__.py").write_text(TRANSFORMERS)
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


CONFLICT = "mmpretrain does not import beside transformers 5.0.0; pip install 'transformers<5'"
FIX = (
    "mmpretrain is installed, but does not import (TypeError: NoneType takes no arguments); "
    "pip install 'transformers<5'"
)


def test_beside_transformers_5_the_import_warns_and_what_needs_no_mmpretrain_works(run_tool, beside_transformers):
    code = (
        "import smix_mm, torch\n"
        "from mmengine.registry import FUNCTIONS, HOOKS\n"
        "assert HOOKS.get('NonFiniteHook') and 'mmpretrain' not in __import__('sys').modules\n"
        "images = torch.rand(4, 3, 16, 16)\n"
        "smix_mm.saliency_mix(images, torch.arange(4), num_classes=4)\n"
        "try:\n"
        "    import mmpretrain.models\n"
        "except TypeError as error:\n"
        "    print('as measured:', error)\n"
        "from smix_mm.utils.packages import PackageError\n"
        "try:\n"
        "    FUNCTIONS.get('whole_batch')\n"
        "except PackageError as error:\n"
        "    print(error)\n"
    )
    out = run_tool(sys.executable, "-c", code, PYTHONPATH=beside_transformers).stdout
    assert out.count(f"UserWarning: {CONFLICT}. `python -m smix_mm.doctor` checks") == 1
    assert "as measured: NoneType takes no arguments" in out
    assert f"whole_batch cannot be used: {FIX}" in out


def test_beside_transformers_5_a_training_ends_in_a_sentence_and_status_2(run_tool, beside_transformers, tmp_path):
    command = ("tools/train.py", "configs/cifar10/resnet18_saliencymix_cifar10.py", "--work-dir", tmp_path / "work")
    run = run_tool(*command, check=False, PYTHONPATH=beside_transformers, SMIX_CIFAR10=tmp_path)
    assert run.returncode == 2
    assert run.stdout.splitlines()[-1] == f"train.py: {FIX}"
    assert "Traceback" not in run.stdout


def test_beside_transformers_5_the_doctor_names_it_and_how_to_fix_it(run_tool, beside_transformers):
    run = run_tool(sys.executable, "-m", "smix_mm.doctor", check=False, PYTHONPATH=beside_transformers)
    assert run.returncode == 1
    line = "wrong   mmpretrain: TypeError: NoneType takes no arguments; to fix: pip install 'transformers<5'"
    assert line in run.stdout.splitlines()
