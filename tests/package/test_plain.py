"""The package where no OpenMMLab package is installed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plain(make_environment):
    return make_environment("torch", "numpy", "torchvision")


IMPORTS = """
import sys
import warnings

warnings.simplefilter("error")
from importlib.util import find_spec

assert [name for name in ("mmengine", "mmcv", "mmpretrain", "mmdet", "cv2", "scipy") if find_spec(name)] == []
import smix_mm
import torch

assert smix_mm.__file__.startswith(sys.prefix), smix_mm.__file__
images, labels = torch.rand(8, 3, 32, 32), torch.arange(8)
mixed, targets = smix_mm.saliency_mix(images, labels, num_classes=8)
assert mixed.shape == images.shape and not torch.equal(mixed, images) and targets.shape == (8, 8)
clips, targets = smix_mm.saliency_mix_video(images.view(2, 4, 3, 32, 32), labels[:2], num_classes=2)
assert clips.shape == (2, 4, 3, 32, 32)
assert smix_mm.SaliencyMixTransform(8)(images, labels)[1].shape == (8, 8)
assert smix_mm.SaliencyMixCollate(8)(list(zip(images, labels)))[1].shape == (8, 8)
for name in ("SpectralResidualSaliency", "FrequencyTunedSaliency"):
    smix_mm.saliency_mix(images, labels, num_classes=8, detector=getattr(smix_mm.saliency, name)())
heavy = {"matplotlib", "pandas", "scipy", "skimage", "sklearn", "torchvision"} & set(sys.modules)
assert not heavy, heavy

from smix_mm.transfer import publish_backbone
from torchvision.models import resnet18

model = resnet18()
torch.save(model.state_dict(), "model.pth")
publish_backbone("model.pth", "backbone.pth")
published = torch.load("backbone.pth", weights_only=True)["state_dict"]
assert all(torch.equal(value, model.state_dict()[name]) for name, value in published.items()) and len(published) > 100
print("registered:", sorted(name for name in sys.modules if name.startswith("smix_mm.") and name.count(".") == 1))
"""


def test_without_openmmlab_mixing_and_publishing_work_and_no_registered_class_is_imported(plain, run_tool, tmp_path):
    run = run_tool(plain, "-I", "-c", IMPORTS, cwd=tmp_path)
    packages = re.search(r"registered: (.*)", run.stdout).group(1)
    assert "smix_mm.mixing" in packages and "smix_mm.saliency" in packages
    assert not re.search(r"batch_augments|engine|models|transforms|datasets", packages)


def test_the_example_trains_on_real_images(plain, few_cifar10, run_tool, tmp_path):
    script = ROOT / "examples/plain_pytorch.py"
    assert len(script.read_text().splitlines()) <= 40
    run = run_tool(plain, "-I", script, few_cifar10, 1, cwd=tmp_path)
    epochs = re.findall(r"epoch (\d): loss (\d+\.\d+), test accuracy (\d+\.\d) %", run.stdout)
    ((number, loss, accuracy),) = epochs
    assert number == "1" and 0 < float(loss) < 10 and 0 <= float(accuracy) <= 100
