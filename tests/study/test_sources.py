"""Fetching published checkpoints."""

import pytest
import torch

from smix_mm.study.sources import fetch_checkpoint
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
