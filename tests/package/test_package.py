"""The wheel, and a training from it in an environment that has the OpenMMLab packages."""

import math
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MIM = "smix_mm/.mim/"
OPENMMLAB = ["onedl-mmengine", "onedl-mmcv", "onedl-mmpretrain", "onedl-mmdetection"]
OPENMMLAB += ["torch", "torchvision", "opencv-contrib-python-headless", "setuptools", "numba"]
SHORT = ["train_cfg.max_epochs=1", "default_hooks.logger.interval=1"]
SMALL_DETECTOR = [
    "model.data_preprocessor.mean=[125.3,123.0,113.9]",
    "model.data_preprocessor.std=[63.0,62.1,66.7]",
    "model.rpn_head.feat_channels=32",
    "model.roi_head.bbox_head.fc_out_channels=32",
    "model.train_cfg.rpn_proposal.max_per_img=50",
]


@pytest.fixture(scope="module")
def wheel(built):
    return zipfile.ZipFile(built["wheel"])


def sources(folder: str) -> set[str]:
    """Files of a folder of the project by their path in it."""
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
    return {name for name in found if "__pycache__" not in name}


def test_the_wheel_has_the_package_and_the_files_of_mim_byte_by_byte(wheel):
    names = set(wheel.namelist())
    code = {name for name in sources("smix_mm") if name.endswith(".py")}
    assert code and code <= names
    for_mim = sources("configs") | sources("tools") | {"model-index.yml"}
    assert {name.removeprefix(MIM) for name in names if name.startswith(MIM)} == for_mim
    assert all(wheel.read(MIM + name) == (ROOT / name).read_bytes() for name in for_mim)
    assert not [name for name in names if name.split("/")[0] not in ("smix_mm", f"smix_mm-{version()}.dist-info")]


def version() -> str:
    return re.search(r'"(.+)"', (ROOT / "smix_mm/version.py").read_text()).group(1)


def test_the_wheel_has_licence_notice_and_its_two_dependencies(wheel):
    info = f"smix_mm-{version()}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    for name in ("LICENSE", "NOTICE"):
        assert wheel.read(f"{info}/licenses/{name}") == (ROOT / name).read_bytes()
    needs = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert len(needs) == 2 and all(re.search(r": (torch|numpy)>=", line) for line in needs)


def test_every_file_that_the_notice_names_exists():
    named = re.findall(r"\bsmix_mm/[\w/.]*\w", (ROOT / "NOTICE").read_text())
    assert len(named) > 8 and [name for name in named if not (ROOT / name).exists()] == []


def test_a_wheel_of_the_source_archive_is_the_wheel_of_the_tree(built, wheel):
    other = zipfile.ZipFile(built["wheel from tree"])
    assert {entry.filename: entry.CRC for entry in wheel.infolist()} == {
        entry.filename: entry.CRC for entry in other.infolist()
    }
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "README.md", "NOTICE", "CITATION.cff", "CHANGELOG.md", "examples/plain_pytorch.py"} <= names


def test_every_file_has_the_same_version():
    citation, changes = (ROOT / "CITATION.cff").read_text(), (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {version()}\n" in citation
    assert re.search(r"^## (\S+)", changes, re.MULTILINE).group(1) == version()


def test_mims_index_in_the_wheel_names_only_configs_that_are_in_it_and_no_weights(wheel, tmp_path):
    modelindex = pytest.importorskip("modelindex.load_model_index")
    wheel.extractall(tmp_path, [name for name in wheel.namelist() if name.startswith(MIM)])
    index = modelindex.load(str(tmp_path / MIM / "model-index.yml"))
    assert len(index.models) > 100 and "SaliencyMix" in [collection.name for collection in index.collections]
    assert all((tmp_path / MIM / model.config).is_file() and not model.weights for model in index.models)


def test_a_commit_is_checked_by_the_commands_of_make_lint():
    yaml = pytest.importorskip("yaml")
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    commands = [hook["entry"].replace(" --force-exclude", "") for hook in repository["hooks"]]
    assert len(commands) == 3 and all(re.search(rf"\t{re.escape(command)}\b", lint) for command in commands)


@pytest.mark.long
def test_the_wheel_trains_from_another_folder_with_the_configs_in_it(
    make_environment, few_cifar10, smix_data, run_tool, losses, tmp_path
):
    """A classifier with this project's script and with mmpretrain's, then a detector from its backbone."""
    python = make_environment(*OPENMMLAB)

    def run(*command: object, **environment: object) -> str:
        return run_tool(python, "-I", *command, cwd=tmp_path, **environment).stdout

    code = "import mmdet, mmpretrain, smix_mm; print(smix_mm.__path__[0], mmpretrain.__path__[0])"
    ours, theirs = (Path(folder, ".mim") for folder in run("-c", code).splitlines()[-1].split())
    assert python.parents[1] in ours.parents
    for tools, work_dir in ((ours / "tools", "ours"), (theirs / "tools", "theirs")):
        out = run(
            tools / "train.py", ours / "configs/cifar10/resnet18-imagenet-stem_saliencymix_cifar10.py",
            "--work-dir", work_dir,
            "--no-validate", "--cfg-options", "train_dataloader.batch_size=40", *SHORT, SMIX_CIFAR10=few_cifar10,
        )  # fmt: skip
        found = losses(out)
        assert len(found) == 6 and all(map(math.isfinite, found))
    run(ours / "tools/publish_backbone.py", "ours/epoch_1.pth", "backbone.pth")
    out = run(
        ours / "tools/train.py", "configs/bccd/faster-rcnn_r18_fpn_bccd.py", "--no-validate", "--cfg-options",
        "train_dataloader.dataset.indices=2", *SHORT, *SMALL_DETECTOR, SMIX_BCCD=smix_data / "BCCD",
    )  # fmt: skip
    assert "Load proof: every backbone tensor equals" in out
    assert losses(out) and all(map(math.isfinite, losses(out)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backbone.pth", "ours", "theirs", "work_dirs"]
