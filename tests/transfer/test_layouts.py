"""Checkpoints of many layouts: what is published loads whole, and everything else is refused."""

import itertools

import pytest
import torch

from smix_mm.transfer import publish_backbone
from smix_mm.utils.errors import CheckpointError

ResNet = pytest.importorskip("mmpretrain.models").ResNet

PREFIXES = (
    "", "module.", "_orig_mod.", "module._orig_mod.", "backbone.", "model.", "net.", "encoder.", "model.backbone.",
    "backbone.body.", "encoder_q.", "base_encoder.", "resnet.", "trunk.features.", "module.model._orig_mod.",
)  # fmt: skip


def network(seed: int) -> dict:
    """A narrow ResNet-18, whose names are torchvision's, with statistics as after a training."""
    torch.manual_seed(seed)
    model = ResNet(18, base_channels=4, stem_channels=4)
    for name, value in model.state_dict().items():
        if "num_batches" not in name:
            value.copy_(torch.rand_like(value) + 0.5)
    return dict(model.state_dict())


TRAINED, AVERAGE = network(1), network(2)
HEAD = {"fc.weight": torch.ones(10, 32), "fc.bias": torch.zeros(10)}


def named(state_dict: dict, prefix: str) -> dict:
    whole = {**state_dict, **({} if "backbone" in prefix else HEAD)}
    return {prefix + name: value for name, value in whole.items()}


def averaged(state_dict: dict) -> dict:
    return {"n_averaged": torch.tensor(7), **{f"module.{name}": value for name, value in state_dict.items()}}


# What is saved around a state dict and its average, and which of the two is to be published by default.
CONTAINERS = {
    "plain": (lambda trained, average: trained, TRAINED),
    "state_dict": (lambda trained, average: dict(state_dict=trained, epoch=3), TRAINED),
    "model": (lambda trained, average: dict(model=trained, optimizer={}, epoch=3), TRAINED),
    "net": (lambda trained, average: dict(net=trained, acc=0.9), TRAINED),
    "model_state_dict": (lambda trained, average: dict(model_state_dict=trained), TRAINED),
    "nested": (lambda trained, average: dict(model=dict(state_dict=trained)), TRAINED),
    "swa alone": (lambda trained, average: averaged(average), AVERAGE),
    "torchvision": (lambda trained, average: dict(model=trained, model_ema=averaged(average), epoch=1), AVERAGE),
    "timm": (lambda trained, average: dict(state_dict=trained, state_dict_ema=average, arch="resnet18"), AVERAGE),
    "mmengine": (lambda trained, average: dict(state_dict=average, ema_state_dict=trained, meta={}), AVERAGE),
    "swa": (lambda trained, average: dict(state_dict=trained, swa_state_dict=averaged(average)), AVERAGE),
    "dino": (lambda trained, average: dict(student=trained, teacher=average, epoch=1), AVERAGE),
    "lightning": (
        lambda trained, average: {"state_dict": trained, "pytorch-lightning_version": "2.4.0", "hyper_parameters": {}},
        TRAINED,
    ),
}


def published(path, out) -> dict:
    publish_backbone(path, out)
    return torch.load(out, weights_only=True)["state_dict"]


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_layout_loads_whole(container, tmp_path):
    wrap, expected = CONTAINERS[container]
    detector = ResNet(18, base_channels=4, stem_channels=4)
    for prefix in PREFIXES:
        torch.save(wrap(named(TRAINED, prefix), named(AVERAGE, prefix)), tmp_path / "checkpoint.pth")
        backbone = published(tmp_path / "checkpoint.pth", tmp_path / "backbone.pth")
        detector.load_state_dict(backbone, strict=True)
        assert all(torch.equal(backbone[name], value) for name, value in expected.items()), prefix


def test_at_least_200_layouts_are_tried_with_safetensors(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    for prefix in PREFIXES:
        save_file(named(TRAINED, prefix), tmp_path / "model.safetensors")
        backbone = published(tmp_path / "model.safetensors", tmp_path / "backbone.pth")
        assert all(torch.equal(backbone[name], value) for name, value in TRAINED.items())
    assert len(PREFIXES) * (len(CONTAINERS) + 1) >= 200


def test_the_numbers_of_a_sequential_become_a_resnets_names(tmp_path):
    numbers = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    for prefix in ("", "backbone.", "module.encoder."):
        renamed = {}
        for name, value in TRAINED.items():
            first, _, rest = name.partition(".")
            renamed[f"{prefix}{numbers[first]}.{rest}"] = value
        torch.save(renamed, tmp_path / "checkpoint.pth")
        backbone = published(tmp_path / "checkpoint.pth", tmp_path / "backbone.pth")
        assert backbone.keys() == TRAINED.keys()


@pytest.mark.parametrize(
    "pair", [("encoder_q", "encoder_k"), ("online_net", "target_net"), ("base_encoder", "momentum_encoder")]
)
def test_of_two_encoders_the_trained_one_is_published(pair, tmp_path):
    both = {**named(TRAINED, f"module.{pair[0]}."), **named(AVERAGE, f"module.{pair[1]}.")}
    torch.save(dict(state_dict=both, arch="resnet18"), tmp_path / "moco.pth")
    backbone = published(tmp_path / "moco.pth", tmp_path / "backbone.pth")
    assert all(torch.equal(backbone[name], value) for name, value in TRAINED.items())


def without(name: str) -> dict:
    return {key: value for key, value in TRAINED.items() if not key.startswith(name)}


REFUSED = {
    "numbers that are no ResNet": (
        {"backbone.0.weight": torch.ones(4, 3, 3, 3)},
        "names should begin with 'backbone.'",
    ),
    "two backbones": (
        {**named(TRAINED, "left."), **named(AVERAGE, "right.")},
        "holds 2 backbones, under left., right.",
    ),
    "a stage is missing": (without("layer4"), "a ResNet without layer4"),
    "a norm is missing": (without("layer2.1.bn1"), "a ResNet without layer2.1.bn1.running_mean"),
    "half a norm": (without("layer2.1.bn1.bias"), "a ResNet without layer2.1.bn1.bias"),
    "no first convolution": (without("conv1"), "a ResNet without conv1.weight"),
    "NaN": ({**TRAINED, "conv1.weight": TRAINED["conv1.weight"] * torch.nan}, "NaN or infinity in conv1.weight"),
    "infinity": ({**TRAINED, "bn1.running_var": torch.full((4,), torch.inf)}, "NaN or infinity in bn1.running_var"),
    "zeros": ({name: value * 0 for name, value in TRAINED.items()}, "weights that are all zero"),
    "transformers": ({"resnet.embedder.embedder.convolution.weight": torch.ones(4, 3, 7, 7)}, "Hugging Face"),
    "nothing": ({}, "no tensors"),
    "other parts": ({**TRAINED, "attention.weight": torch.ones(3)}, "parts that a detector's ResNet lacks: attention"),
}


@pytest.mark.parametrize("name, prefix", itertools.product(REFUSED, ("", "module.")))
def test_what_is_not_one_whole_backbone_is_refused(name, prefix, tmp_path):
    state_dict, message = REFUSED[name]
    torch.save({prefix + key: value for key, value in state_dict.items()}, tmp_path / "checkpoint.pth")
    with pytest.raises(CheckpointError, match=message):
        publish_backbone(tmp_path / "checkpoint.pth", tmp_path / "backbone.pth")
    assert not (tmp_path / "backbone.pth").exists()


@pytest.mark.parametrize(
    "content", [averaged(named(AVERAGE, "")), dict(model_ema=averaged(named(AVERAGE, "")), epoch=1)]
)
def test_an_average_alone_is_recorded_as_one_and_has_no_raw_weights(content, tmp_path):
    torch.save(content, tmp_path / "swa.pth")
    assert publish_backbone(tmp_path / "swa.pth", tmp_path / "backbone.pth")["weights"] == "averaged"
    with pytest.raises(
        ValueError, match="swa.pth holds only a moving average, no raw weights; leave weights='averaged'"
    ):
        publish_backbone(tmp_path / "swa.pth", tmp_path / "raw.pth", weights="raw")
