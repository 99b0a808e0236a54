"""The package under mim, OpenMMLab's package manager, in the maintained line's release of it."""

import importlib.util
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("mim") is None, reason="mim is not installed: pip install onedl-mim"),
]
OPENMMLAB = ["onedl-mmengine", "onedl-mmcv", "onedl-mmpretrain", "onedl-mmdetection", "torch", "torchvision"]
OPENMMLAB += ["opencv-contrib-python-headless", "setuptools", "numba"]
SHORT = ["train_cfg.max_epochs=1", "default_hooks.logger.interval=1"]
FEW = ["--cfg-options", "train_dataloader.batch_size=40", *SHORT]
SMALL_DETECTOR = [
    "train_dataloader.dataset.indices=2",
    "val_dataloader.dataset.indices=2",
    "model.data_preprocessor.mean=[125.3,123.0,113.9]",
    "model.data_preprocessor.std=[63.0,62.1,66.7]",
    "model.rpn_head.feat_channels=32",
    "model.roi_head.bbox_head.fc_out_channels=32",
    "model.train_cfg.rpn_proposal.max_per_img=50",
    "model.test_cfg.rpn.max_per_img=50",
]


@pytest.fixture(scope="module")
def mim(make_environment, run_tool, tmp_path_factory):
    python = make_environment(*OPENMMLAB, "onedl-mim", "pip")
    folder = tmp_path_factory.mktemp("mim")

    def run(*command: object, check: bool = True, **environment: object) -> str:
        # mim keeps a cache in the home folder.
        return run_tool(python, "-m", "mim", *command, check=check, cwd=folder, HOME=folder, **environment).stdout

    run.folder, run.python = folder, python
    return run


def packaged(mim, config: str) -> str:
    (path,) = mim.python.parents[1].glob(f"lib/*/site-packages/smix_mm/.mim/configs/{config}")
    return str(path)


@pytest.fixture(scope="module")
def pretrained(mim, few_cifar10, losses):
    """By mmpretrain's own script, with a config from inside the wheel."""
    config = packaged(mim, "cifar10/resnet18-imagenet-stem_saliencymix_cifar10.py")
    out = mim(
        "train", "onedl-mmpretrain", config, "--gpus", 0, "--work-dir", "pretrained", "--no-validate", *FEW,
        SMIX_CIFAR10=few_cifar10,
    )  # fmt: skip
    assert "mmpretrain/.mim/tools/train.py" in out and "Training finished successfully" in out
    assert len(losses(out)) == 6 and all(map(math.isfinite, losses(out)))
    return mim.folder / "pretrained/epoch_1.pth"


def test_mim_train_takes_the_wheels_configs_for_mmpretrain_and_for_mmdetection(
    mim, pretrained, run_tool, losses, smix_data
):
    tool = packaged(mim, "../tools/publish_backbone.py")
    run_tool(mim.python, tool, pretrained, mim.folder / "backbone.pth", cwd=mim.folder)
    config = packaged(mim, "bccd/faster-rcnn_r18_fpn_bccd.py")
    out = mim(
        "train", "onedl-mmdetection", config, "--gpus", 0, "--cfg-options", *SMALL_DETECTOR, *SHORT,
        SMIX_BCCD=smix_data / "BCCD",
    )  # fmt: skip
    assert "mmdet/.mim/tools/train.py" in out and "Training finished successfully" in out
    assert "Load proof: every backbone tensor equals" in out
    assert losses(out) and all(map(math.isfinite, losses(out)))


def test_mim_looks_for_the_wheels_index_and_script_in_the_wrong_folder(mim):
    """A fault of onedl-mim; once this fails, docs/compatibility.md can say that it works."""
    assert "site-packages/../model_zoo.yml is not found" in mim("search", "smix-mm", check=False)
    out = mim("train", "smix-mm", "resnet18-imagenet-stem_saliencymix_cifar10.py", "--gpus", 0, check=False)
    assert "tools/train.py" in out and "can't open file" in out


def test_mim_works_by_name_where_the_project_is_installed_in_place(mim, built, few_cifar10, losses, tmp_path):
    """Last, because it replaces the wheel."""
    leave = shutil.ignore_patterns("build", "*.egg-info", "tests", "results")
    tree = shutil.copytree(Path(built["sdist"]).parents[1] / "tree", tmp_path / "tree", ignore=leave)
    install = ["install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "-e", tree]
    subprocess.run(list(map(str, [sys.executable, "-m", "pip", "--python", mim.python, *install])), check=True)
    found = mim("search", "smix-mm", "--config", "resnet18_saliencymix_cifar10", "--field", "status", "config")
    assert "not run" in found and "configs/cifar10/resnet18_saliencymix_cifar10.py" in found
    download = ("download", "smix-mm", "--config", "resnet18_saliencymix_cifar10", "--dest", "weights")
    out = mim(*download, check=False)
    assert "ValueError" in out and "weight" in out and not list(mim.folder.glob("weights/*"))
    out = mim(
        "train", "smix-mm", "resnet18-imagenet-stem_saliencymix_cifar10.py", "--gpus", 0, "--work-dir", "by_name",
        "--no-validate", *FEW, SMIX_CIFAR10=few_cifar10,
    )  # fmt: skip
    assert f"{tree}/tools/train.py" in out and "Training finished successfully" in out
    assert len(losses(out)) == 6 and all(map(math.isfinite, losses(out)))
