"""The package under mim, OpenMMLab's package manager, in the maintained line's release of it."""

import importlib.util
import math

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

    def run(*command: object, **environment: object) -> str:
        # mim keeps a cache in the home folder.
        return run_tool(python, "-m", "mim", *command, cwd=folder, HOME=folder, **environment).stdout

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
