"""The proof passes where every tensor is the checkpoint's, and nowhere else."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from torch import nn

from smix_mm.engine.prove import prove
from smix_mm.transfer import prove_loaded, publish_backbone
from smix_mm.transfer.backbone import IMAGENET
from smix_mm.utils.errors import LoadProofError

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A ResNet-50 of torchvision with random weights, published."""
    import torchvision

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("published")
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), folder / "resnet50.pth")
    publish_backbone(folder / "resnet50.pth", folder / "backbone.pth", **IMAGENET)
    return folder / "backbone.pth"


def detector(backbone: dict, preprocessor: dict | None = None, shared_head: dict | None = None) -> nn.Module:
    """The parts of a detector that the proof looks at, made and loaded as MMDetection does."""
    register_all_modules()
    model = nn.Module()
    options = dict(type="DetDataPreprocessor", mean=MEAN, std=STD, bgr_to_rgb=True) | (preprocessor or {})
    model.data_preprocessor = MODELS.build(options)
    model.backbone = MODELS.build(dict(type="ResNet", depth=50, norm_eval=True) | backbone)
    model.backbone.init_weights()
    if shared_head is not None:
        model.roi_head = nn.Module()
        model.roi_head.shared_head = MODELS.build(dict(type="ResLayer", depth=50, stage=3) | shared_head)
        model.roi_head.shared_head.init_weights()
    return model


def pretrained(path) -> dict:
    return dict(type="Pretrained", checkpoint=str(path))


def test_a_whole_backbone_passes_quietly(published):
    prove_loaded(detector(dict(init_cfg=pretrained(published))), published)


def test_it_passes_inside_a_wrapper(published):
    wrapped = nn.Module()
    wrapped.module = detector(dict(init_cfg=pretrained(published)))
    prove_loaded(wrapped, published)


def test_a_c4_detector_is_proven_with_its_shared_stage(published):
    c4 = dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,), init_cfg=pretrained(published))
    prove_loaded(detector(c4, shared_head=dict(init_cfg=pretrained(published))), published)
    with pytest.raises(LoadProofError, match=r"10 of the same shape, but with other values: layer4.0.conv1.weight"):
        prove_loaded(detector(c4, shared_head={}), published)
    with pytest.raises(LoadProofError, match=r"in the checkpoint, not in the model .*layer4.0.conv1.weight"):
        prove_loaded(detector(c4), published)


def test_a_stage_that_both_parts_have_is_compared_in_both(published):
    model = detector(dict(init_cfg=pretrained(published)), shared_head=dict(init_cfg=pretrained(published)))
    prove_loaded(model, published)
    with torch.no_grad():
        model.backbone.layer4[0].conv1.weight[0] += 1
    with pytest.raises(LoadProofError, match=r"1 of the same shape, but with other values: layer4.0.conv1.weight"):
        prove_loaded(model, published)


def test_random_weights_are_found_out(published):
    with pytest.raises(LoadProofError, match="of the same shape, but with other values: conv1.weight"):
        prove_loaded(detector({}), published)


def test_one_changed_value_is_found_out(published):
    model = detector(dict(init_cfg=pretrained(published)))
    with torch.no_grad():
        model.backbone.layer3[2].conv2.weight[5, 4, 1, 1] += 1e-6
    with pytest.raises(LoadProofError, match=r"1 of the same shape, but with other values: layer3.2.conv2.weight"):
        prove_loaded(model, published)


def test_another_stem_is_found_out_by_its_shape(published):
    content = torch.load(published, weights_only=True)
    content["state_dict"]["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    content["meta"]["stem"] = "cifar"
    model = detector(dict(init_cfg=pretrained(published)))
    with pytest.raises(LoadProofError) as failure:
        prove_loaded(model, content)
    assert "conv1.weight (64, 3, 3, 3) -> (64, 3, 7, 7)" in str(failure.value)
    assert "stem is imagenet in the model, but the backbone was trained with cifar" in str(failure.value)


@pytest.mark.parametrize("init_cfg", [None, dict(type="Pretrained", checkpoint="torchvision://resnet50")])
def test_a_file_that_is_given_replaces_that_of_the_config(published, init_cfg, tmp_path):
    config = tmp_path / "detector.py"
    config.write_text(f"""
_base_ = "mmdet::_base_/models/faster-rcnn_r50_fpn.py"
default_scope = "mmdet"
model = dict(backbone=dict(init_cfg={init_cfg}))
custom_hooks = [dict(type="mmengine.LoadProofHook", unused=["pool.*"])]
""")
    with pytest.raises(LoadProofError, match="whose loading cannot be proven" if init_cfg else "init_cfg"):
        prove(config)
    proof = prove(config, published)
    assert (proof["checkpoint"], proof["loaded"]) == (str(published), "whole")
    content = torch.load(published, weights_only=True)
    content["state_dict"]["pool.weight"] = torch.ones(1)
    torch.save(content, tmp_path / "more.pth")
    assert prove(config, tmp_path / "more.pth")["unused"] == ["pool.weight"]


@pytest.mark.parametrize(
    "backbone, preprocessor, message",
    [
        (dict(style="caffe"), {}, "style is caffe in the model, but the backbone was published with pytorch .stated."),
        ({}, dict(bgr_to_rgb=False), "channel_order is bgr in the model, but .* with rgb .stated."),
        ({}, dict(mean=[103.53, 116.28, 123.675]), "mean is .* in the model"),
        ({}, dict(std=[1.0, 1.0, 1.0]), r"std is \[1.0, 1.0, 1.0\] in the model"),
    ],
)
def test_what_shapes_cannot_show_is_compared(published, backbone, preprocessor, message):
    model = detector(dict(init_cfg=pretrained(published)) | backbone, preprocessor)
    with pytest.raises(LoadProofError, match=message):
        prove_loaded(model, published)


def test_a_c4_detectors_shared_stage_of_another_style_is_found_out(published):
    c4 = dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,), init_cfg=pretrained(published))
    model = detector(c4, shared_head=dict(style="caffe", init_cfg=pretrained(published)))
    with pytest.raises(LoadProofError, match="style is caffe and pytorch in the model"):
        prove_loaded(model, published)


def test_what_is_not_recorded_is_not_compared_and_the_record_says_so(published):
    content = torch.load(published, weights_only=True)
    content["meta"].update(mean=None, channel_order=None, style=None)
    model = detector(dict(init_cfg=pretrained(published)), dict(bgr_to_rgb=False))
    digest = content["meta"]["hash"]
    assert prove_loaded(model, content) == dict(
        backbone_hash=digest, loaded="whole", not_compared=["style", "channel_order", "mean"]
    )
    assert prove_loaded(detector(dict(init_cfg=pretrained(published))), published) == dict(
        backbone_hash=digest, loaded="whole"
    )


def test_the_channel_order_of_a_classifier_follows_its_dataloader(published):
    from mmpretrain.models import ClsDataPreprocessor

    model = detector(dict(init_cfg=pretrained(published)))
    model.data_preprocessor = ClsDataPreprocessor(MEAN, STD)
    rgb, bgr = (dict(dataset=dict(pipeline=[dict(type=name)])) for name in ("PackInputs", "LoadImageFromFile"))
    for dataloader in (None, rgb):
        assert prove_loaded(model, published, dataloader=dataloader)["loaded"] == "whole"
    with pytest.raises(LoadProofError, match="channel_order is bgr in the model"):
        prove_loaded(model, published, dataloader=bgr)


def test_what_was_published_without_a_statement_is_not_compared(published, tmp_path):
    """A plain state dict does not record how its images were normalized."""
    content = torch.load(published, weights_only=True)
    torch.save(content["state_dict"], tmp_path / "plain.pth")
    publish_backbone(tmp_path / "plain.pth", tmp_path / "backbone.pth")
    model = detector(dict(init_cfg=pretrained(tmp_path / "backbone.pth")), dict(mean=[125.3, 123.0, 113.9]))
    proof = prove_loaded(model, tmp_path / "backbone.pth")
    assert proof["not_compared"] == ["style", "channel_order", "mean", "std"]


def test_new_and_unused_name_what_is_meant_to_differ(published):
    model = detector(dict(init_cfg=pretrained(published)))
    model.backbone.norm3 = nn.BatchNorm2d(4)
    content = torch.load(published, weights_only=True)
    content["state_dict"]["pool.weight"] = torch.ones(1)
    with pytest.raises(LoadProofError, match=r"4 in the model, not in the checkpoint .*norm3.weight"):
        prove_loaded(model, content, unused=["pool.*"])
    with pytest.raises(LoadProofError, match=r"1 in the checkpoint, not in the model .*pool.weight"):
        prove_loaded(model, content, new=["norm3.*"])
    proof = prove_loaded(model, content, new=["norm3.*"], unused=["pool.*"])
    assert (proof["loaded"], proof["unused"]) == ("whole but for new and unused", ["pool.weight"])
    assert proof["new"] == ["norm3.bias", "norm3.running_mean", "norm3.running_var", "norm3.weight"]


def test_patterns_that_excuse_everything_prove_nothing(published):
    content = torch.load(published, weights_only=True)
    content["state_dict"] = {f"backbone.{name}": value for name, value in content["state_dict"].items()}
    with pytest.raises(LoadProofError, match=r"265 in the model, not in the checkpoint"):
        prove_loaded(detector({}), content, new=["*"], unused=["*"])


def test_counters_that_old_checkpoints_lack_are_not_missed(published):
    content = torch.load(published, weights_only=True)
    state_dict = {k: v for k, v in content["state_dict"].items() if "num_batches_tracked" not in k}
    prove_loaded(detector(dict(init_cfg=pretrained(published))), dict(state_dict=state_dict))


def test_a_model_without_a_backbone_is_refused(published):
    with pytest.raises(LoadProofError, match="Linear has no backbone"):
        prove_loaded(nn.Linear(1, 1), published)


def test_the_unmodified_config_of_voc_names_the_backbone_and_has_the_hook():
    config = Config.fromfile(Path(__file__).parents[2] / "configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py")
    assert config.model.backbone.init_cfg == dict(type="Pretrained", checkpoint="backbone.pth")
    assert "LoadProofHook" in [hook.type for hook in config.custom_hooks]
    assert config.model.roi_head.bbox_head.num_classes == 20


def test_the_prefix_of_init_cfg_is_used(published, tmp_path):
    content = torch.load(published, weights_only=True)
    classifier = {f"backbone.{name}": value for name, value in content["state_dict"].items()}
    classifier["head.fc.weight"] = torch.ones(10, 2048)
    torch.save(dict(state_dict=classifier, meta=content["meta"]), tmp_path / "classifier.pth")
    init_cfg = dict(pretrained(tmp_path / "classifier.pth"), prefix="backbone.")
    model = detector(dict(init_cfg=init_cfg))
    for prefix in ("backbone.", "backbone"):
        proof = prove_loaded(model, tmp_path / "classifier.pth", prefix=prefix)
        assert proof["loaded"] == "whole" and proof["backbone_hash"] == content["meta"]["hash"]
    with pytest.raises(LoadProofError):
        prove_loaded(model, tmp_path / "classifier.pth")
