"""Detectors train alike with mmcv's compiled operators and with torchvision's, on real images on the CPU.

    python -m pytest -s tests/end_to_end/test_operators.py

prints the losses of both; without compiled operators (`make setup MMCV_OPS=1`) only those with torchvision's.
"""

import json
import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
# Smaller than in the configs: images, proposals and the number of iterations. The learning rate is the same.
FEW = """
default_hooks = dict(logger=dict(interval=1), checkpoint=None)
param_scheduler = []
train_dataloader = dict(num_workers=0, persistent_workers=False, batch_size=2)
"""
VOC = """
for part in {datasets}:
    part.indices = 8
    part.pipeline[2].scale = (320, 240)
del part
"""
ITERATIONS = """
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=4, val_interval=100)
log_processor = dict(by_epoch=False)
train_dataloader.update(sampler=dict(_delete_=True, type="InfiniteSampler"))
"""
DETECTORS = {
    "Faster R-CNN, FPN": (
        "configs/bccd/faster-rcnn_r18_fpn_bccd.py",
        18,
        VOC.format(datasets="[_base_.train_dataloader.dataset]"),
    ),
    "RetinaNet": (
        "configs/voc/retinanet_r50_fpn_1x_voc0712.py",
        50,
        VOC.format(datasets="_base_.train_dataloader.dataset.dataset.datasets"),
    ),
    "Faster R-CNN, C4": (
        "configs/voc/faster-rcnn_r50-c4_41k_voc0712.py",
        50,
        VOC.format(datasets="_base_.train_dataloader.dataset.datasets")
        + "model = dict(train_cfg=dict(rpn_proposal=dict(max_per_img=200), rcnn=dict(sampler=dict(num=64))))",
    ),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Published ResNets of mmpretrain with random weights, by depth."""
    from mmpretrain.models.backbones import ResNet

    from smix_mm.transfer import publish_backbone

    folder = tmp_path_factory.mktemp("published")
    for depth in (18, 50):
        torch.manual_seed(0)
        resnet = ResNet(depth)
        resnet.init_weights()
        torch.save(resnet.state_dict(), folder / f"resnet{depth}.pth")
        publish_backbone(folder / f"resnet{depth}.pth", folder / f"backbone{depth}.pth")
    return lambda depth: folder / f"backbone{depth}.pth"


def kinds(mmcv_without_operators: str) -> dict[str, dict[str, str]]:
    """Environment variables that select each available kind of operators."""
    compiled = list(Path(find_spec("mmcv").origin).parent.glob("_ext.*"))
    return {**({"mmcv's": {}} if compiled else {}), "torchvision's": dict(PYTHONPATH=mmcv_without_operators)}


@pytest.mark.long
@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_trains_alike_with_either_kind_of_operators(
    name, published, mmcv_without_operators, smix_data, run_tool, tmp_path
):
    base, depth, small = DETECTORS[name]
    config = tmp_path / "few.py"
    config.write_text(f'_base_ = "{ROOT / base}"\n{small}{FEW}{ITERATIONS}')
    found = {}
    for kind, environment in kinds(mmcv_without_operators).items():
        run = run_tool(
            "tools/train.py", config, "--work-dir", tmp_path / kind, "--no-validate", OMP_NUM_THREADS=1,
            SMIX_BACKBONE=published(depth), SMIX_BCCD=smix_data / "BCCD", SMIX_VOC=smix_data / "VOCdevkit",
            **environment,
        )  # fmt: skip
        # On a CPU, MMDetection's RetinaNet uses no operator of mmcv: the focal loss has another implementation.
        logged = kind == "torchvision's" and name != "RetinaNet"
        assert run.stdout.count("torchvision's in place of mmcv's") == logged
        (log,) = (tmp_path / kind).glob("*/vis_data/scalars.json")
        found[kind] = [json.loads(line)["loss"] for line in log.read_text().splitlines()]
        print(f"\n| {name} | {kind} | {' | '.join(f'{loss:.7f}' for loss in found[kind])} |")
        assert len(found[kind]) == 4 and all(map(math.isfinite, found[kind]))
        assert found[kind] == pytest.approx(next(iter(found.values())), rel=1e-3)
