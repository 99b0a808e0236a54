"""A test of a ResNet with torchvision's names, such as the released backbones: the same predictions, or an error."""

import pickle
import re

import cv2
import numpy as np
import pytest
import torch

from smix_mm.cli import run
from smix_mm.utils.errors import CheckpointError

CONFIG = "configs/cifar10/resnet18-imagenet-stem_baseline_cifar10.py"
OPTIONS = {"test_dataloader.num_workers": 0, "test_dataloader.persistent_workers": False}


@pytest.fixture(scope="module")
def network():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    return resnet18(num_classes=10).eval()


def write(path, model) -> None:
    content = dict(epoch=299, arch="resnet", state_dict=torch.nn.DataParallel(model).state_dict(), best_err1=93.456)
    torch.save(content, path)


@pytest.fixture
def small_config(made_up_cifar10, monkeypatch):
    monkeypatch.setenv("SMIX_CIFAR10", str(made_up_cifar10))
    return ["--cfg-options", *(f"{name}={value}" for name, value in OPTIONS.items())]


def test_it_is_tested_with_its_own_weights_and_its_claim_is_reported(
    network, small_config, made_up_cifar10, tmp_path, capfd
):
    write(tmp_path / "model_best.pth.tar", network)
    command = [CONFIG, tmp_path / "model_best.pth.tar", "--work-dir", tmp_path, "--out", tmp_path / "out.pkl"]
    assert run("test", [*map(str, command), *small_config]) == 0
    printed = "".join(capfd.readouterr())
    assert re.search(r"under torchvision's names. It claims a top-1 error of 93.46 %, 100 less accuracy/top1", printed)
    predictions = pickle.loads((tmp_path / "out.pkl").read_bytes())
    files = sorted((made_up_cifar10 / "test").rglob("*.png"))
    assert len(predictions) == len(files) == 40
    pixels = torch.tensor(np.stack([cv2.imread(str(file))[:, :, ::-1] for file in files])).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in ([125.3, 123.0, 113.9], [63.0, 62.1, 66.7]))
    with torch.no_grad():
        expected = network((pixels - mean) / std).softmax(1)
    torch.testing.assert_close(
        torch.stack([each["pred_score"] for each in predictions]), expected, rtol=1e-4, atol=1e-5
    )


def test_another_network_than_the_configs_is_refused(small_config, tmp_path):
    from torchvision.models import resnet34

    from smix_mm.engine.test import test

    write(tmp_path / "model_best.pth.tar", resnet34(num_classes=10))
    message = "holds another network than the config: .* such as backbone.layer1.2.conv1.weight"
    with pytest.raises(CheckpointError, match=message):
        test(CONFIG, tmp_path / "model_best.pth.tar", work_dir=tmp_path, cfg_options=OPTIONS)


def test_its_robustness_is_measured_with_its_own_weights(network, small_config, tmp_path, capfd):
    from smix_mm.robustness.evaluate import test_robustness

    write(tmp_path / "model_best.pth.tar", network)
    test_robustness(CONFIG, tmp_path / "model_best.pth.tar", attack=None, work_dir=tmp_path, cfg_options=OPTIONS)
    assert "under torchvision's names" in "".join(capfd.readouterr())
