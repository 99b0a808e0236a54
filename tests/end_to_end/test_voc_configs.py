"""The detection configs: the protocol point by point, one data set for all, and a C4 detector that is proven."""

import copy
import json
import math
import re
from pathlib import Path
from xml.etree.ElementTree import parse

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

ROOT = Path(__file__).parents[2]
C4 = "configs/voc/faster-rcnn_r50-c4_41k_voc0712.py"
FPN = "configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py"
DATA = "configs/_base_/datasets/voc0712.py"
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
MOCO = "configs/voc/faster-rcnn_r50-c4_24k_voc0712.py"
COCO = "configs/coco/faster-rcnn_r50_fpn_1x_coco.py"
ALL = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "configs").glob("*/*_*_*.py") if path.parts[-2] in ("voc", "coco")
)
CONFIGS = [config for config in ALL if config not in (MOCO, COCO)]


@pytest.fixture(scope="module", autouse=True)
def _in_mmdet():
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope("mmdet"):
        yield


def differences(one, two, place: str = "") -> set[str]:
    """Dotted names under which two nested settings differ."""
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        one, two = dict(enumerate(one)), dict(enumerate(two))
    if isinstance(one, dict) and isinstance(two, dict):
        names = {**one, **two}
        return set().union(*(differences(one.get(n), two.get(n), f"{place}.{n}".lstrip(".")) for n in names), set())
    return set() if one == two else {place}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A ResNet-50 of mmpretrain with random weights, published."""
    from mmpretrain.models.backbones import ResNet

    from smix_mm.transfer.backbone import IMAGENET, publish_backbone

    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    resnet = ResNet(50)
    resnet.init_weights()
    for tensor in resnet.state_dict().values():
        if tensor.dim() == 1:  # norms, whose zeros would switch the residual branches off
            tensor.add_(torch.rand(tensor.shape))
    torch.save(resnet.state_dict(), folder / "resnet50.pth")
    publish_backbone(folder / "resnet50.pth", folder / "backbone.pth", **IMAGENET)
    return folder / "backbone.pth"


def detector(cfg, published, **shared_head):
    """The C4 detector of a config, with weights as a run would begin with."""
    from mmdet.registry import MODELS

    model_cfg = copy.deepcopy(cfg.model)
    for part in (model_cfg.backbone, model_cfg.roi_head.shared_head):
        part.init_cfg.checkpoint = str(published)
    model_cfg.roi_head.shared_head.update(shared_head)
    model = MODELS.build(model_cfg)
    model.init_weights()
    return model


@pytest.fixture(scope="module")
def c4(read, published):
    return detector(read(C4), published).train()


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_has_the_same_data_evaluation_and_checks(read, config):
    cfg, data = read(config), read(DATA)
    trained = cfg.train_dataloader.dataset
    assert (trained.dataset if trained.type == "RepeatDataset" else trained) == data.train_dataloader.dataset
    assert cfg.test_dataloader == cfg.val_dataloader == data.test_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator == dict(type="DetectionMetric")
    assert [hook.type for hook in cfg.custom_hooks] == ["LoadProofHook"]
    heads = [cfg.model.get("bbox_head"), cfg.model.get("roi_head", {}).get("bbox_head")]
    assert [head.num_classes for head in heads if head] == [20]
    assert cfg.custom_imports == dict(imports=["smix_mm"], allow_failed_imports=False) and cfg.randomness.seed == 0


def test_images_get_a_short_side_of_600_or_a_long_side_of_1000(read):
    from mmdet.registry import TRANSFORMS

    for name, place in (("train_pipeline", 2), ("test_pipeline", 1)):
        resize = TRANSFORMS.build(read(DATA)[name][place])
        shapes = [(375, 500), (500, 375), (200, 500), (600, 1000)]
        resized = [resize(dict(img=np.zeros((*shape, 3), np.uint8)))["img"].shape[:2] for shape in shapes]
        assert resized == [(600, 800), (800, 600), (400, 1000), (600, 1000)]
    flip = read(DATA).train_pipeline[3]
    assert flip == dict(type="RandomFlip", prob=0.5) and "Flip" not in str(read(DATA).test_pipeline)


def test_a_smaller_scale_differs_in_the_scale_alone(read):
    small = read("configs/_base_/datasets/voc0712_320x240.py")
    found = differences(read(DATA).to_dict(), small.to_dict())
    loaders = [f"train_dataloader.dataset.datasets.{part}.pipeline.2.scale" for part in (0, 1)]
    loaders += [f"{part}_dataloader.dataset.pipeline.1.scale" for part in ("val", "test")]
    assert found == {"scale", "train_pipeline.2.scale", "test_pipeline.1.scale", *loaders}
    assert small.test_dataloader.dataset.pipeline[1].scale == (320, 240)


def test_objects_of_every_size_are_trained_on_but_difficult_ones(read, smix_data):
    from mmdet.registry import DATASETS

    wanted, images = 0, 0
    for year in (2007, 2012):
        root = smix_data / f"VOCdevkit/VOC{year}"
        for name in (root / "ImageSets/Main/trainval.txt").read_text().split():
            objects = parse(root / f"Annotations/{name}.xml").findall("object")
            wanted += sum(o.find("difficult").text == "0" for o in objects)
            images += bool(objects)
    dataset = copy.deepcopy(read(FPN).train_dataloader.dataset.dataset)
    for part in dataset.datasets:
        part.data_root = str(smix_data / "VOCdevkit")
    built = DATASETS.build(dataset)
    infos = [built.get_data_info(index) for index in range(len(built))]
    assert len(infos) == images and len(built.metainfo["classes"]) == 20
    assert sum(not instance["ignore_flag"] for info in infos for instance in info["instances"]) == wanted > 300


def test_c4_takes_pixels_as_mmpretrain_and_torchvision_do(read):
    from mmdet.registry import MODELS

    preprocessor = MODELS.build(read(C4).model.data_preprocessor)
    bgr = torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None].expand(3, 64, 64)
    pixel = preprocessor(dict(inputs=[bgr]))["inputs"][0, :, 5, 5]
    expected = [(value - mean) / std for value, mean, std in zip((30, 20, 10), MEAN, STD)]
    torch.testing.assert_close(pixel, torch.tensor(expected))


def test_c4_strides_in_the_3x3_convolution_in_backbone_and_shared_head(c4):
    blocks = [c4.backbone.layer2[0], c4.backbone.layer3[0], c4.roi_head.shared_head.layer4[0]]
    assert [(block.conv1.stride, block.conv2.stride) for block in blocks] == [((1, 1), (2, 2))] * 3


def test_c4_has_anchors_of_128_256_and_512_pixels_in_three_shapes_on_stride_16(c4):
    generator = c4.rpn_head.anchor_generator
    (anchors,) = generator.base_anchors
    sides = anchors[:, 2:] - anchors[:, :2]
    assert generator.strides == [(16, 16)]
    areas = sorted(round(float(side.prod().sqrt())) for side in sides)
    assert areas == [128] * 3 + [256] * 3 + [512] * 3
    assert sorted(round(float(h / w), 3) for w, h in sides) == [0.5] * 3 + [1.0] * 3 + [2.0] * 3


def test_c4_freezes_batch_norm_everywhere_and_the_stem(c4):
    backbone, head = c4.backbone, c4.roi_head.shared_head
    norms = [m for part in (backbone, head) for m in part.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 53 and not any(norm.training or norm.weight.requires_grad for norm in norms)
    trained = {name.split(".")[0] for name, p in backbone.named_parameters() if p.requires_grad}
    assert trained == {"layer2", "layer3"}
    assert all(p.requires_grad for name, p in head.named_parameters() if "conv" in name)


def test_c4_has_the_papers_schedule(read):
    from mmengine.registry import PARAM_SCHEDULERS

    cfg = read(C4)
    assert cfg.train_cfg == dict(type="IterBasedTrainLoop", max_iters=41000, val_interval=8200)
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 8
    assert cfg.train_dataloader.sampler == dict(type="InfiniteSampler", shuffle=True)
    assert cfg.optim_wrapper.optimizer == dict(type="SGD", lr=4e-3, momentum=0.9, weight_decay=1e-4)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=4e-3)
    schedulers = [PARAM_SCHEDULERS.build(dict(s, optimizer=optimizer)) for s in cfg.param_scheduler]
    rates = []
    for _ in range(cfg.train_cfg.max_iters):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert rates[0] == pytest.approx(4e-6)
    np.testing.assert_allclose(np.diff(rates[:500], 2), 0, atol=1e-12)  # linear
    assert rates[500:33000] == pytest.approx([4e-3] * 32500)
    assert rates[33000:] == pytest.approx([4e-4] * 8000)


def test_c4_holds_every_published_tensor_in_one_of_its_parts(c4, published):
    from smix_mm.transfer import prove_loaded

    prove_loaded(c4, published)
    expected = torch.load(published, weights_only=True)["state_dict"]
    parts = [c4.backbone.state_dict(), c4.roi_head.shared_head.state_dict()]
    assert {name.split(".")[0] for name in parts[1]} == {"layer4"}
    assert sorted([*parts[0], *parts[1]]) == sorted(expected)
    assert all(torch.equal(value, expected[name]) for part in parts for name, value in part.items())


def test_c4s_two_parts_in_a_row_compute_what_the_pretrained_network_does(c4, published):
    from mmpretrain.models.backbones import ResNet

    original = ResNet(50)
    original.load_state_dict(torch.load(published, weights_only=True)["state_dict"])
    original.eval()
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(c4.roi_head.shared_head(c4.backbone(images)[0]), original(images)[0])


@pytest.mark.parametrize(
    "shared_head, message",
    [
        (dict(init_cfg=None), r"of the same shape, but with other values: layer4.0.conv1.weight"),
        (dict(style="caffe"), "style is caffe and pytorch in the model, but the backbone was published with pytorch"),
    ],
)
def test_c4_with_a_last_stage_that_is_random_or_of_another_style_is_refused(read, published, shared_head, message):
    from smix_mm.transfer import prove_loaded
    from smix_mm.utils.errors import LoadProofError

    with pytest.raises(LoadProofError, match=message):
        prove_loaded(detector(read(C4), published, **shared_head), published)


def test_both_parts_of_c4_find_the_backbone_by_the_variable(monkeypatch):
    from smix_mm.utils.config import read_config

    monkeypatch.setenv("SMIX_BACKBONE", "/some/where.pth")
    model = read_config(ROOT / C4).model
    wanted = dict(type="Pretrained", checkpoint="/some/where.pth")
    assert model.backbone.init_cfg == model.roi_head.shared_head.init_cfg == wanted


@pytest.mark.parametrize("name", ["faster-rcnn_r50_fpn_1x_voc0712", "retinanet_r50_fpn_1x_voc0712"])
def test_fpn_detectors_are_mmdetections_own_but_for_the_smallest_objects(read, name):
    from mmengine.hub import get_config

    stock, cfg = get_config(f"mmdet::pascal_voc/{name}.py"), read(f"configs/voc/{name}.py")
    compared = ("model", "train_dataloader", "train_cfg", "param_scheduler", "optim_wrapper", "auto_scale_lr")
    found = differences({key: cfg[key] for key in compared}, {key: stock[key] for key in compared})
    last_names = {".".join(place.split(".")[-2:]) for place in found - {"model._scope_"}}
    elsewhere = {"init_cfg.checkpoint", "0.data_root", "1.data_root"}
    assert last_names == {"filter_cfg.bbox_min_size", "filter_cfg.min_size", *elsewhere}


def test_the_syncbn_variant_differs_in_the_backbones_norms_alone_and_nothing_of_it_is_frozen(read):
    from mmdet.registry import MODELS
    from mmengine.model import revert_sync_batchnorm

    cfg = read("configs/voc/faster-rcnn_r50_fpn_syncbn_1x_voc0712.py")
    places = {"frozen_stages", "norm_cfg.type", "norm_eval"}
    assert differences(cfg.to_dict(), read(FPN).to_dict()) == {f"model.backbone.{place}" for place in places}
    backbone = MODELS.build(cfg.model.backbone)
    assert sum(isinstance(module, torch.nn.SyncBatchNorm) for module in backbone.modules()) == 53
    # What mmengine's Runner does where there is one process.
    reverted = revert_sync_batchnorm(backbone)
    reverted.train()
    assert all(module.training for module in reverted.modules())
    assert all(parameter.requires_grad for parameter in reverted.parameters())
    before = reverted.bn1.running_mean.clone()
    features = reverted(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert all(torch.isfinite(feature).all() for feature in features)
    assert not torch.equal(reverted.bn1.running_mean, before)


# The ImageNet pretraining of each backbone of a detector.
PRETRAINING = {"r18": "resnet18", "r50": "resnet50", "r50-c4": "resnet50", "r101": "resnet101", "r101-c4": "resnet101",
               "x50-32x4d": "resnext50-32x4d", "swin-t": "swin-t", "convnext-t": "convnext-t"}  # fmt: skip


def shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


@pytest.mark.parametrize("net", sorted(set(PRETRAINING.values())))
def test_the_published_backbone_of_every_pretraining_loads_whole_into_every_detector_of_its_net(read, net, tmp_path):
    import mmpretrain.models  # noqa: F401
    from mmdet.registry import MODELS
    from mmengine.registry import MODELS as ROOT_MODELS

    from smix_mm.transfer import publish_backbone

    found = {PRETRAINING[config.split("_")[1]] for config in ALL}
    assert found == set(PRETRAINING.values()), "a detector without a pretraining"
    augments = ("baseline", "cutmix", "saliencymix")
    starts = [
        read(f"configs/imagenet/{net}{short}_{augment}_in1k.py") for short in ("", "-100e") for augment in augments
    ]
    assert all(start.model == starts[0].model for start in starts)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        classifier = ROOT_MODELS.build(dict(starts[0].model, data_preprocessor=starts[0].data_preprocessor))
    torch.save(dict(state_dict=classifier.state_dict(), meta=dict(cfg=starts[0].pretty_text)), tmp_path / "epoch.pth")
    meta = publish_backbone(tmp_path / "epoch.pth", tmp_path / "backbone.pth")
    content = torch.load(tmp_path / "backbone.pth", weights_only=True)["state_dict"]
    published = {name: tuple(value.shape) for name, value in content.items()}
    for config in (config for config in ALL if PRETRAINING[config.split("_")[1]] == net):
        cfg = read(config)
        loaded = shapes(MODELS.build(dict(cfg.model.backbone, init_cfg=None)))
        if shared := cfg.model.get("roi_head", {}).get("shared_head"):
            loaded |= shapes(MODELS.build(dict(shared, init_cfg=None)))
        new = cfg.custom_hooks[0].get("new", ["none"])[0].replace(".*", "")
        assert published == {name: shape for name, shape in loaded.items() if not re.match(rf"{new}\b", name)}, config
        assert (meta["mean"], meta["channel_order"]) == (cfg.model.data_preprocessor.mean, "rgb")


def test_the_24k_protocol_is_mocos(read):
    from mmdet.registry import MODELS, TRANSFORMS
    from mmengine.optim import build_optim_wrapper
    from mmpretrain.models.utils import res_layer_extra_norm  # noqa: F401

    cfg = read(MOCO)
    assert cfg.train_cfg == dict(type="IterBasedTrainLoop", max_iters=24000, val_interval=6000)
    warm_up, decay = cfg.param_scheduler
    assert (warm_up.start_factor, warm_up.end, decay.milestones, decay.gamma) == (1e-3, 100, [18000, 22000], 0.1)
    assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size == 16
    assert cfg.optim_wrapper.optimizer == dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=1e-4)
    for part in cfg.train_dataloader.dataset.datasets:
        resize = TRANSFORMS.build(part.pipeline[2])
        sides = {resize(dict(img=np.zeros((375, 500, 3), np.uint8)))["img"].shape[0] for _ in range(200)}
        assert sides == set(range(480, 801, 32))
    resize = TRANSFORMS.build(cfg.test_dataloader.dataset.pipeline[1])
    assert resize(dict(img=np.zeros((375, 500, 3), np.uint8)))["img"].shape[:2] == (800, 1067)
    same = ("ann_file", "data_prefix", "filter_cfg")
    for one, two in zip(cfg.train_dataloader.dataset.datasets, read(DATA).train_dataloader.dataset.datasets):
        assert all(one[name] == two[name] for name in same)
    model_cfg = copy.deepcopy(cfg.model)
    for part in (model_cfg.backbone, model_cfg.roi_head.shared_head):
        part.init_cfg = None
    model = MODELS.build(model_cfg).train()
    parts = (model.backbone, model.roi_head.shared_head)
    norms = [module for part in parts for module in part.modules() if isinstance(module, torch.nn.SyncBatchNorm)]
    assert len(norms) == 54 and all(norm.training for norm in norms)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.roi_head.shared_head.norm.num_features == 2048
    (anchors,) = model.rpn_head.anchor_generator.base_anchors
    sides = (anchors[:, 2:] - anchors[:, :2]).prod(1).sqrt()
    assert sorted({round(float(side)) for side in sides}) == [32, 64, 128, 256, 512]
    assert (model.train_cfg.rcnn.sampler.num, model.test_cfg.rpn.max_per_img) == (512, 1000)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    undecayed = sum(group["weight_decay"] == 0 for group in groups)
    assert undecayed == 2 * 54, "weights and biases of norms alone"


def test_coco_1x_is_mmdetections_own_but_for_the_backbone(read):
    from mmengine.hub import get_config

    stock, cfg = get_config("mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"), read(COCO)
    compared = ("model", "train_dataloader", "val_dataloader", "test_dataloader", "val_evaluator", "test_evaluator",
                "train_cfg", "param_scheduler", "optim_wrapper", "auto_scale_lr")  # fmt: skip
    found = differences({key: cfg[key] for key in compared}, {key: stock[key] for key in compared})
    assert {place for place in found if "_scope_" not in place} == {"model.backbone.init_cfg.checkpoint"}
    assert [hook.type for hook in cfg.custom_hooks] == ["LoadProofHook"] and cfg.randomness.seed == 0


@pytest.fixture
def small_coco(smix_data, tmp_path, monkeypatch) -> Path:
    """The small VOC2007 as COCO's archives, prepared by the command; the objects get COCO's first three classes."""
    import zipfile

    from mmdet.datasets import CocoDataset

    from smix_mm.datasets.prepare import detection, prepare_data

    voc, archives = smix_data / "VOCdevkit/VOC2007", tmp_path / "archives"
    archives.mkdir()
    names = {split: (voc / f"ImageSets/Main/{split}.txt").read_text().split()[:6] for split in ("trainval", "test")}
    classes = CocoDataset.METAINFO["classes"]
    with zipfile.ZipFile(archives / "annotations_trainval2017.zip", "w") as annotations:
        for split, target in (("trainval", "train2017"), ("test", "val2017")):
            images, objects = [], []
            with zipfile.ZipFile(archives / f"{target}.zip", "w") as opened:
                for number, name in enumerate(names[split]):
                    root = parse(voc / f"Annotations/{name}.xml")
                    width, height = (int(root.findtext(f"size/{side}")) for side in ("width", "height"))
                    images.append(dict(id=number, file_name=f"{name}.jpg", width=width, height=height))
                    opened.write(voc / f"JPEGImages/{name}.jpg", f"{target}/{name}.jpg")
                    for each in root.findall("object"):
                        x1, y1, x2, y2 = (float(each.findtext(f"bndbox/{s}")) for s in ("xmin", "ymin", "xmax", "ymax"))
                        box = [x1, y1, x2 - x1, y2 - y1]
                        objects.append(dict(id=len(objects) + 1, image_id=number, category_id=1 + len(objects) % 3,
                                            bbox=box, area=box[2] * box[3], iscrowd=0))  # fmt: skip
            categories = [dict(id=1 + number, name=name) for number, name in enumerate(classes)]
            content = dict(images=images, annotations=objects, categories=categories)
            annotations.writestr(f"annotations/instances_{target}.json", json.dumps(content))
    unchecked = {part: (name, None, place) for part, (name, _, place) in detection._ARCHIVES.items()}
    monkeypatch.setattr(detection, "_ARCHIVES", unchecked)
    return prepare_data("coco", tmp_path / "data", sources=[archives])


@pytest.mark.long
def test_coco_1x_is_fine_tuned_and_tested_on_prepared_data(published, small_coco, run_tool, tmp_path):
    small = [f"{part}_dataloader.{name}" for part in ("train", "val") for name in ("num_workers=0",
             "persistent_workers=False")]  # fmt: skip
    run = run_tool(
        "tools/train.py", COCO, "--work-dir", tmp_path / "work", "--cfg-options", *small,
        "train_dataloader.dataset.pipeline.2.scale=(160,120)", "val_dataloader.dataset.pipeline.1.scale=(160,120)",
        "train_dataloader.dataset.filter_cfg.min_size=1", "train_cfg.max_epochs=1", "default_hooks.logger.interval=1",
        "model.train_cfg.rpn_proposal.max_per_img=50", "model.test_cfg.rpn.max_per_img=20",
        "model.test_cfg.rcnn.score_thr=0.0",
        SMIX_BACKBONE=published, SMIX_COCO=small_coco,
    )  # fmt: skip
    losses = [float(value) for value in re.findall(r"Epoch\(train\).*? loss: (\S+)", run.stdout)]
    assert len(losses) == 3 and all(map(math.isfinite, losses))
    assert json.loads((tmp_path / "work/load_proof.json").read_text())["loaded"] == "whole"
    assert re.search(r"coco/bbox_mAP: \d", run.stdout)


@pytest.mark.long
@pytest.mark.parametrize("config_of", [C4, MOCO])
def test_c4_is_fine_tuned_and_tested_on_real_images(config_of, published, smix_data, run_tool, tmp_path):
    """The config as it stands, on the small VOC07+12; images, batch and counts are small."""
    config = tmp_path / "few.py"
    config.write_text(f"""
_base_ = "{ROOT / config_of}"
for part in (*_base_.train_dataloader.dataset.datasets, _base_.test_dataloader.dataset, _base_.val_dataloader.dataset):
    part.indices = 6
    resize = part.pipeline[2 if "Flip" in str(part.pipeline) else 1]
    resize["scales" if "scales" in resize else "scale"] = [(160, 120)] if "scales" in resize else (160, 120)
del part, resize
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
train_cfg = dict(max_iters=4, val_interval=4)
model = dict(
    rpn_head=dict(feat_channels=32),
    train_cfg=dict(rpn_proposal=dict(max_per_img=50), rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rpn=dict(max_per_img=20)),
)
default_hooks = dict(logger=dict(interval=1))
""")
    environment = dict(SMIX_BACKBONE=published, SMIX_VOC=smix_data / "VOCdevkit")
    run = run_tool("tools/train.py", config, "--work-dir", tmp_path, **environment)
    losses = [float(value) for value in re.findall(r"Iter\(train\).*? loss: (\S+)", run.stdout)]
    assert len(losses) == 4 and all(map(math.isfinite, losses))
    assert "Load proof: every backbone tensor equals" in run.stdout
    proof = json.loads((tmp_path / "load_proof.json").read_text())
    assert proof["loaded"] == ("whole" if config_of == C4 else "whole but for new and unused")
    assert config_of == C4 or [name.partition(".")[0] for name in proof["new"]] == ["norm"] * len(proof["new"])
    run_tool(
        "tools/test.py", config, tmp_path / "iter_4.pth", "--work-dir", tmp_path, "--metrics",
        tmp_path / "metrics.json", **environment,
    )  # fmt: skip
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert all(0 <= metrics[name] <= 1 for name in ("voc/mAP_11point", "voc/mAP_area", "coco/mAP"))
