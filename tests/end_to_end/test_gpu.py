"""One training iteration of the detectors on a GPU, from a published backbone, by the command that a user types."""

import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import smix_mm  # noqa: F401  (whatever operators it brings, it brings when it is imported)

# Detectors need operators; MMDetection's own imports need packages that a machine for `make gpu` may lack.
for module in ("mmcv.ops", "mmdet.engine", "mmdet.models"):
    pytest.importorskip(module, exc_type=ImportError)

from smix_mm.transfer import publish_backbone  # noqa: E402

SMALL = [
    "train_dataloader.batch_size=2",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "model.train_cfg.rpn_proposal.max_per_img=50",
    "model.train_cfg.rcnn.sampler.num=32",
    "default_hooks.logger.interval=1",
]
DETECTORS = {
    "FPN": (
        "configs/bccd/faster-rcnn_r18_fpn_bccd.py",
        18,
        ["train_cfg.max_epochs=1", "train_dataloader.dataset.pipeline.2.scale=(192,128)"],
    ),
    "C4": (
        "configs/voc/faster-rcnn_r50-c4_41k_voc0712.py",
        50,
        ["train_cfg.max_iters=1"]
        + [f"train_dataloader.dataset.datasets.{number}.pipeline.2.scale=(192,128)" for number in (0, 1)],
    ),
}


def make_voc(root: Path, classes: tuple[str, str]) -> None:
    """Two images of noise in VOC layout, each with a plain square of each class."""
    random = np.random.default_rng(0)
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    names = ("000001", "000002")
    for name in names:
        pixels = random.integers(0, 100, (64, 96, 3), dtype=np.uint8)
        objects = []
        for number, label in enumerate(classes):
            x, y = 4 + 48 * number, int(random.integers(2, 20))
            pixels[y : y + 36, x : x + 36] = 255 * number
            objects.append(
                f"<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
                f"<xmax>{x + 36}</xmax><ymax>{y + 36}</ymax></bndbox></object>"
            )
        Image.fromarray(pixels).save(root / f"JPEGImages/{name}.jpg")
        size = "<size><width>96</width><height>64</height><depth>3</depth></size>"
        (root / f"Annotations/{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename>{size}<segmented>0</segmented>{''.join(objects)}</annotation>"
        )
    for split in ("trainval", "test"):
        (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"{name}\n" for name in names))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The variables that the configs read their data's place from."""
    root = tmp_path_factory.mktemp("data")
    make_voc(root / "BCCD", ("RBC", "WBC"))
    for year in ("VOC2007", "VOC2012"):
        make_voc(root / "VOCdevkit" / year, ("cat", "dog"))
    return dict(SMIX_BCCD=root / "BCCD", SMIX_VOC=root / "VOCdevkit")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A function that publishes a ResNet of a depth with random weights."""
    import torchvision

    def publish(depth: int) -> Path:
        folder = tmp_path_factory.mktemp("published")
        torch.manual_seed(0)
        torch.save(getattr(torchvision.models, f"resnet{depth}")().state_dict(), folder / "resnet.pth")
        publish_backbone(folder / "resnet.pth", folder / "backbone.pth")
        return folder / "backbone.pth"

    return publish


@pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.long), pytest.param("cuda", marks=pytest.mark.gpu)]
)
@pytest.mark.parametrize("name", DETECTORS)
def test_one_iteration_of_faster_rcnn(name, device, data, published, run_tool, tmp_path):
    config, depth, options = DETECTORS[name]
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "0") if device == "cuda" else ""
    run = run_tool(
        "tools/train.py", config, "--work-dir", tmp_path, "--no-validate", "--cfg-options", *SMALL, *options,
        timeout=300, SMIX_BACKBONE=published(depth), CUDA_VISIBLE_DEVICES=gpus, **data,
    )  # fmt: skip
    assert "Load proof: every backbone tensor equals" in run.stdout
    (loss,) = re.findall(r"\(train\).*? loss: (\S+)", run.stdout)
    assert math.isfinite(float(loss)) and float(loss) > 0
