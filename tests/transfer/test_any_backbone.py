"""Backbones of mmpretrain in detectors: published, loaded by the config as it stands, proven, and run."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from smix_mm.transfer import prove_loaded, publish_backbone
from smix_mm.utils.config import read_config
from smix_mm.utils.errors import LoadProofError

VOC = Path(__file__).parents[2] / "configs/voc"
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
NORMS = ["norm0.bias", "norm0.weight", "norm1.bias", "norm1.weight", "norm2.bias", "norm2.weight"]
# The config's name; the backbone of mmpretrain's classifier; what the neck takes; what the detector adds.
BACKBONES = {
    "r18": (dict(type="ResNet", depth=18), [64, 128, 256, 512], []),
    "r50": (dict(type="ResNet", depth=50), [256, 512, 1024, 2048], []),
    "x50-32x4d": (dict(type="ResNeXt", depth=50, groups=32, width_per_group=4), [256, 512, 1024, 2048], []),
    "swin-t": (dict(type="SwinTransformer", arch="tiny"), [96, 192, 384, 768], NORMS),
    "convnext-t": (dict(type="ConvNeXt", arch="tiny"), [96, 192, 384, 768], NORMS),
}


def publish(backbone: dict, folder: Path) -> Path:
    """The published backbone of a classifier with random weights, from a checkpoint as mmengine writes it."""
    from mmpretrain.registry import MODELS

    model = dict(type="ImageClassifier", backbone=backbone, neck=dict(type="GlobalAveragePooling"))
    preprocessor = dict(num_classes=10, mean=MEAN, std=STD, to_rgb=True)
    loader = dict(dataset=dict(pipeline=[dict(type="LoadImageFromFile")]))
    text = Config(dict(model=model, data_preprocessor=preprocessor, train_dataloader=loader)).pretty_text
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        trained = MODELS.build(model)
        trained.init_weights()
    for tensor in trained.state_dict().values():
        if tensor.dim() == 1:  # norms and statistics, which would all be what they begin with
            tensor.add_(torch.rand(tensor.shape) * 0.1)
    torch.save(dict(state_dict=trained.state_dict(), meta=dict(cfg=text)), folder / "epoch_1.pth")
    publish_backbone(folder / "epoch_1.pth", folder / "backbone.pth")
    return folder / "backbone.pth"


@pytest.fixture(scope="module", params=BACKBONES)
def loaded(request, tmp_path_factory):
    """Name, published file and detector of the config, which finds the file by SMIX_BACKBONE."""
    from mmdet.registry import MODELS

    published = publish(BACKBONES[request.param][0], tmp_path_factory.mktemp(request.param))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMIX_BACKBONE", str(published))
        cfg = read_config(VOC / f"faster-rcnn_{request.param}_fpn_1x_voc0712.py")
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg.model)
        model.init_weights()
    return request.param, published, cfg, model


def test_the_config_loads_it_whole_and_its_proof_names_what_is_new(loaded, tmp_path):
    from mmengine.registry import HOOKS

    name, published, cfg, model = loaded
    log = []
    logger = SimpleNamespace(info=log.append, warning=pytest.fail)
    runner = SimpleNamespace(model=model, iter=0, rank=0, work_dir=str(tmp_path), cfg=cfg, logger=logger)
    HOOKS.build(cfg.custom_hooks[0]).before_train(runner)
    proof = json.loads((tmp_path / "load_proof.json").read_text())
    new = BACKBONES[name][2]
    digest = torch.load(published, weights_only=True)["meta"]["hash"]
    if not new:
        assert proof == dict(backbone_hash=digest, loaded="whole")
        return
    assert proof == dict(backbone_hash=digest, loaded="whole but for new and unused", new=new, unused=[])
    assert any(line.endswith("norm2.weight keep their initial values, as configured.") for line in log)
    with pytest.raises(LoadProofError, match=r"6 in the model, not in the checkpoint .*: norm0\."):
        prove_loaded(model, published)


def test_the_detector_takes_its_features_and_gives_a_finite_loss(loaded):
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    name, _, cfg, model = loaded
    sample = DetDataSample(metainfo=dict(img_shape=(60, 90), ori_shape=(60, 90), scale_factor=(1.0, 1.0)))
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[10.0, 10, 60, 50]]), labels=torch.tensor([1]))
    torch.manual_seed(0)
    batch = dict(inputs=[torch.randint(0, 256, (3, 60, 90)).byte()], data_samples=[sample])
    batch = model.data_preprocessor(batch, training=True)
    features = model.train().backbone(batch["inputs"])
    assert [feature.shape[1] for feature in features] == cfg.model.neck.in_channels == BACKBONES[name][1]
    assert [tuple(feature.shape[2:]) for feature in features] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    loss, _ = model.parse_losses(model(**batch, mode="loss"))
    assert torch.isfinite(loss)


@pytest.mark.parametrize("loaded", ["r18", "r50", "x50-32x4d"], indirect=True)
def test_mmdetections_resnets_compute_what_mmpretrains_do(loaded):
    from mmpretrain.registry import MODELS

    name, published, _, model = loaded
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        original = MODELS.build(BACKBONES[name][0])
    original.load_state_dict(torch.load(published, weights_only=True)["state_dict"])
    original.eval()
    model.eval()
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(images)[-1], original(images)[-1])


class Holder(nn.Module):
    """A model that has a backbone, loaded as a detector's is."""

    def __init__(self, backbone: dict, published: Path) -> None:
        from mmdet.registry import MODELS

        super().__init__()
        with DefaultScope.overwrite_default_scope("mmdet"):
            self.backbone = MODELS.build(dict(backbone, init_cfg=dict(type="Pretrained", checkpoint=str(published))))
        self.backbone.init_weights()


@pytest.mark.parametrize(
    "backbone, names_differ",
    [
        (dict(type="ResNetV1d", depth=50), True),
        (dict(type="MobileNetV2"), True),
        (dict(type="RegNet", arch="regnetx_400mf"), False),
        (dict(type="EfficientNet", arch="b0"), False),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_others_go_through_mmpretrains_scope_and_never_into_a_namesake_of_other_names(tmp_path, backbone, names_differ):
    published = publish(backbone, tmp_path)
    prove_loaded(Holder(dict(backbone, type=f"mmpretrain.{backbone['type']}"), published), published)
    namesake = Holder(dict(backbone, type=f"mmdet.{backbone['type']}"), published)
    if names_differ:
        with pytest.raises(
            LoadProofError, match=r"in the model, not in the checkpoint .*\n.*in the checkpoint, not in"
        ):
            prove_loaded(namesake, published)
    else:
        prove_loaded(namesake, published)
