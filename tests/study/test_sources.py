"""Fetching published checkpoints."""

import pytest
import torch

from smix_mm.study.sources import documented_training, fetch_checkpoint
from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import CheckpointError


def test_a_file_is_taken_as_it_is(tmp_path):
    assert fetch_checkpoint("some/file.pth", tmp_path).as_posix() == "some/file.pth"


def test_torchvisions_weights_are_fetched_once_with_their_hash_checked(tmp_path, monkeypatch):
    import torchvision

    calls = []

    def get_state_dict(self, *args, check_hash=False, **settings):
        calls.append((self.name, check_hash))
        return {"conv1.weight": torch.ones(1)}

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", get_state_dict)
    path = fetch_checkpoint("torchvision://resnet18", tmp_path)
    assert fetch_checkpoint("torchvision://resnet18", tmp_path) == path
    assert calls == [("IMAGENET1K_V1", True)]
    assert read_checkpoint(path) == {"conv1.weight": torch.ones(1)}


def test_timms_weights_are_those_of_its_own_model(tmp_path, monkeypatch):
    import timm

    made = timm.create_model("resnet18", pretrained=False)
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: made if pretrained and name == "resnet18" else 1)
    content = read_checkpoint(fetch_checkpoint("timm://resnet18", tmp_path))
    assert content.keys() == made.state_dict().keys()


@pytest.mark.parametrize(
    "source, mean",
    [
        ("torchvision://resnet50", [0.485, 0.456, 0.406]),
        ("torchvision://resnet50/IMAGENET1K_V1", [0.485, 0.456, 0.406]),
        ("timm://resnet50.a1_in1k", [0.485, 0.456, 0.406]),
        ("timm://resnetv2_50x1_bit.goog_in21k", [0.5, 0.5, 0.5]),
    ],
)
def test_what_a_library_documents_is_stated_by_it(source, mean):
    if source.startswith("timm"):
        pytest.importorskip("timm")
    described = documented_training(source)
    assert list(described["mean"]) == mean and len(described["std"]) == 3
    assert described["channel_order"] == "rgb" and described["stated_by"] == source.partition(":")[0]


def test_nothing_is_documented_for_a_file():
    assert documented_training("some/file.pth") == {}


@pytest.mark.parametrize(
    "source, message",
    [
        ("hub://resnet18", "should be a file, torchvision://NAME, timm://NAME or released://ROW, got hub://resnet18"),
        ("torchvision://resnet1", "cannot be fetched"),
        ("torchvision://resnet18/NONE", "cannot be fetched"),
    ],
)
def test_a_checkpoint_that_cannot_be_fetched_is_an_error_without_a_file(tmp_path, source, message):
    with pytest.raises(CheckpointError, match=message):
        fetch_checkpoint(source, tmp_path)
    assert list(tmp_path.iterdir()) == []
