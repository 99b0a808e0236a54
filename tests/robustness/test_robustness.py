"""Attacks keep their distance, do harm, and leave the classifier as it was."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.nn import functional as F

from smix_mm.datasets.in_memory.dataset import InMemoryDataset
from smix_mm.robustness import CommonCorruption, evaluate
from smix_mm.robustness.attacks import PixelClassifier, make_attack, parse_eps
from smix_mm.robustness.corruption import corrupt_in_memory
from smix_mm.utils.channels import loaded_order
from smix_mm.utils.choices import CORRUPTIONS
from smix_mm.utils.errors import DataError, UsageError

ROOT = Path(__file__).parents[2]
CONFIG = f"""
_base_ = "{ROOT}/configs/cifar10/resnet18_baseline_cifar10.py"
model = dict(backbone=dict(stem_channels=16, base_channels=16), head=dict(in_channels=128))
test_dataloader = dict(
    num_workers=0, persistent_workers=False, batch_size=120, dataset=dict(data_root="DATA", data_prefix="train")
)
"""

# They treat the channels alike.
COLOURLESS = ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "fog", "contrast",
              "elastic_transform", "pixelate")  # fmt: skip


@pytest.fixture(scope="module")
def trained(few_cifar10, tmp_path_factory):
    """A small net that knows 240 CIFAR-10 images by heart: config, checkpoint, model, pixels, labels."""
    from mmpretrain.registry import MODELS

    folder = tmp_path_factory.mktemp("trained")
    config = folder / "config.py"
    config.write_text(CONFIG.replace("DATA", str(few_cifar10)))
    cfg = Config.fromfile(config)
    init_default_scope("mmpretrain")
    torch.manual_seed(0)
    preprocessor = {"type": "ClsDataPreprocessor", **cfg.data_preprocessor}
    model = MODELS.build({**cfg.model, "data_preprocessor": preprocessor})
    pixels, labels = images(few_cifar10)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    logits = PixelClassifier(model.train())
    for step in range(48):
        part = slice(60 * (step % 4), 60 * (step % 4) + 60)
        loss = F.cross_entropy(logits(pixels[part]), labels[part])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / "net.pth")
    return config, folder / "net.pth", model, pixels, labels


def images(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    import cv2

    files = sorted((folder / "train").rglob("*.jpg"))
    names = sorted({file.parent.name for file in files})
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(0)).tolist()
    images = [torch.from_numpy(cv2.imread(str(files[at]))).permute(2, 0, 1) for at in order]
    return torch.stack(images).float(), torch.tensor([names.index(files[at].parent.name) for at in order])


def run(trained, name: str, eps: float, **settings):
    _, _, model, pixels, labels = trained
    attacked = make_attack(name, model, (3, 32, 32), 10, eps, **settings)(pixels, labels)
    with torch.no_grad():
        logits = PixelClassifier(model)(attacked)
    return attacked, F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()


@pytest.mark.parametrize("name", ["fgsm", "pgd", "apgd"])
def test_no_pixel_moves_further_than_eps_or_leaves_its_range_and_the_loss_rises(trained, name):
    _, _, model, pixels, _ = trained
    before = {key: value.clone() for key, value in model.state_dict().items()}
    attacked, loss, accuracy = run(trained, name, 4 / 255, steps=5)
    assert (attacked - pixels).abs().max() <= 4.0001
    assert attacked.min() >= 0 and attacked.max() <= 255
    _, clean_loss, clean_accuracy = run(trained, name, 0)
    assert clean_accuracy > 0.9 and loss > 2 * clean_loss and accuracy < clean_accuracy - 0.3
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())


def test_several_steps_harm_at_least_as_much_as_one(trained):
    one = run(trained, "fgsm", 2 / 255)[2]
    assert run(trained, "pgd", 2 / 255, steps=10)[2] <= one
    assert run(trained, "apgd", 2 / 255, steps=10)[2] <= one


def test_fgsm_is_one_step_along_the_sign_of_the_gradient_on_the_pixel_scale(trained):
    _, _, model, pixels, labels = trained
    attacked, *_ = run(trained, "fgsm", 8 / 255)
    expected = pixels.clone().requires_grad_()
    F.cross_entropy(PixelClassifier(model)(expected), labels).backward()
    expected = (pixels + 8 * expected.grad.sign()).clamp(0, 255)
    # A gradient of almost nothing may have another sign in another order of sums.
    assert (attacked - expected).abs().gt(1e-3).float().mean() < 1e-3


def test_without_strength_the_images_are_given_back_as_they_are(trained):
    pixels = trained[3]
    assert run(trained, "pgd", 0)[0] is pixels


def test_random_starts_are_those_of_the_seed_and_disturb_no_other_draws(trained):
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first = run(trained, "pgd", 2 / 255, steps=1, seed=1)[0]
    assert (np.random.get_state()[1] == before).all()
    assert torch.equal(first, run(trained, "pgd", 2 / 255, steps=1, seed=1)[0])
    assert not torch.equal(first, run(trained, "pgd", 2 / 255, steps=1, seed=2)[0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(name="cw", eps=0.1), "attack should be one of 'fgsm', 'pgd', 'apgd', got 'cw'"),
        (dict(name="pgd", eps=8), "eps should be a fraction of 255 in 0 to 1, such as 8/255, got 8"),
        (dict(name="pgd", eps=0.1, steps=0), "steps should be at least 1, got 0"),
    ],
)
def test_a_wrong_argument_is_refused(trained, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_attack(model=trained[2], shape=(3, 32, 32), classes=10, **arguments)


@pytest.mark.parametrize("text", ["8", "-1/255", "x", "1/0"])
def test_a_strength_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="eps should be a fraction of 255"):
        parse_eps(text)


def test_the_loop_gives_what_a_plain_test_and_the_attack_by_hand_give(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, checkpoint, *_ = trained
    eps = ["2/255", "8/255"]
    figures = evaluate.test_robustness(config, checkpoint, eps=eps, out=tmp_path, corruptions=["fog"], severities=[5])
    assert list(figures) == ["clean", "fgsm 2/255", "fgsm 8/255", "fog 5"]
    for name, strength in {"clean": 0, "fgsm 2/255": 2 / 255, "fgsm 8/255": 8 / 255}.items():
        assert figures[name]["accuracy/top1"] == pytest.approx(100 * run(trained, "fgsm", strength)[2], abs=0.5)
    plain = evaluate.test_robustness(config, checkpoint, attack=None)
    assert plain["clean"] == figures["clean"]
    assert figures["fog 5"]["accuracy/top1"] < figures["clean"]["accuracy/top1"]
    assert json.loads((tmp_path / "robustness.json").read_text())["figures"] == figures
    assert (tmp_path / "robustness.png").read_bytes().startswith(b"\x89PNG")


def test_a_config_without_a_classifier_is_refused(trained):
    with pytest.raises(UsageError, match="should be of an mmpretrain classifier"):
        evaluate.test_robustness(ROOT / "configs/demo/detector.py", trained[1])


def test_a_truncated_image_is_named(trained, few_cifar10, tmp_path):
    cut = tmp_path / "test/ship/cut.jpg"
    cut.parent.mkdir(parents=True)
    cut.write_bytes(next(few_cifar10.rglob("*.jpg")).read_bytes()[:-100])
    options = {"test_dataloader.dataset.data_root": str(tmp_path), "test_dataloader.dataset.data_prefix": "test"}
    with pytest.raises(DataError, match=f"image {cut} is truncated"):
        evaluate.test_robustness(*trained[:2], attack=None, work_dir=tmp_path, cfg_options=options)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(severities=[7]), "severity should be in 1 to 5, got 7"),
        (dict(corruptions=["rain"]), "corruption should be one of"),
        (dict(attack="cw"), "attack should be one of"),
    ],
)
def test_choices_are_checked_before_the_config_is_read(options, message):
    with pytest.raises(UsageError, match=message):
        evaluate.test_robustness("none.py", "none.pth", **{"corruptions": ["fog"], **options})


def test_two_processes_test_as_one(trained, run_tool, tmp_path):
    config, checkpoint, *_ = trained
    run = run_tool(
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "tools/test_robustness.py",
        config, checkpoint, "--eps", "2/255", "--launcher", "pytorch", "--work-dir", tmp_path, "--out", tmp_path,
    )  # fmt: skip
    assert "| fgsm 2/255 |" in run.stdout
    figures = json.loads((tmp_path / "robustness.json").read_text())["figures"]
    one = run_one(trained, tmp_path)
    assert figures["clean"] == one["clean"]
    # A batch of another size rounds a gradient of almost nothing to another sign now and then.
    assert figures["fgsm 2/255"]["accuracy/top1"] == pytest.approx(one["fgsm 2/255"]["accuracy/top1"], abs=1.0)


def run_one(trained, folder: Path) -> dict:
    return evaluate.test_robustness(trained[0], trained[1], eps=["2/255"], work_dir=folder / "one")


def test_a_wrong_call_ends_in_one_sentence(trained, run_tool, tmp_path):
    finished = run_tool("tools/test_robustness.py", trained[0], trained[1], "--eps", "8", check=False)
    assert finished.returncode == 2
    assert finished.stdout.splitlines()[-1] == (
        "test_robustness.py: eps should be a fraction of 255 in 0 to 1, such as 8/255, got 8"
    )


def test_official_files_and_data_in_memory_give_what_image_files_give(trained, official_cifar10, tmp_path, monkeypatch):
    """And a corruption does not depend on those that were measured before."""
    monkeypatch.chdir(tmp_path)
    options = dict(eps=["2/255"], severities=[2])
    expected = evaluate.test_robustness(*trained[:2], **options, corruptions=["frost", "jpeg_compression"])
    assert len({row["accuracy/top1"] for row in expected.values()}) > 2
    monkeypatch.setenv("SMIX_CIFAR10", str(official_cifar10))
    small = {"model.backbone.stem_channels": 16, "model.backbone.base_channels": 16, "model.head.in_channels": 128,
             "test_dataloader.batch_size": 120, "test_dataloader.dataset.split": "train",
             "test_dataloader.num_workers": 0, "test_dataloader.persistent_workers": False}  # fmt: skip
    for name, corruption in (("", "frost"), ("fast/", "jpeg_compression")):
        config = ROOT / f"configs/cifar10/{name}resnet18_baseline_cifar10.py"
        found = evaluate.test_robustness(
            config, trained[1], **options, corruptions=[corruption], cfg_options=small
        )  # fmt: skip
        assert found == {test: expected[test] for test in ("clean", "fgsm 2/255", f"{corruption} 2")}


def test_a_dataset_without_a_pipeline_is_refused(trained):
    options = {"test_dataloader.dataset": dict(_delete_=True, type="RepeatDataset", times=1, dataset=dict())}
    with pytest.raises(UsageError, match="should have a pipeline to add corruptions to, got RepeatDataset"):
        evaluate.test_robustness(trained[0], trained[1], attack=None, corruptions=["fog"], cfg_options=options)


LOADS = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_the_colours_of_the_image_in_either_channel_order(few_cifar10, monkeypatch, name):
    """As imagecorruptions computes it for RGB, exactly; without the order, those that depend on colour differ."""
    import cv2
    from imagecorruptions import corrupt

    generator = np.random.default_rng
    # glass_blur and impulse_noise draw from a generator of their own.
    monkeypatch.setattr(np.random, "default_rng", lambda seed=None: generator(0 if seed is None else seed))
    bgr = cv2.imread(str(next((few_cifar10 / "train").rglob("*.jpg"))))
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    np.random.seed(3)
    expected = corrupt(rgb, corruption_name=name, severity=4)
    files, memory = (CommonCorruption(name, 4, loaded_order(dict(pipeline=steps))) for steps in (LOADS, LOADS[1:]))
    assert (files.channel_order, memory.channel_order) == ("bgr", "rgb")
    assert np.array_equal(files(dict(img=bgr, sample_idx=3))["img"], expected[..., ::-1])
    assert np.array_equal(memory(dict(img=rgb, sample_idx=3))["img"], expected)
    wrong = CommonCorruption(name, 4, "bgr")(dict(img=rgb, sample_idx=3))["img"]
    assert np.array_equal(wrong, expected) == (name in COLOURLESS)


def test_images_in_memory_are_corrupted_as_those_of_files(official_cifar10):
    dataset = InMemoryDataset(official_cifar10, "train", device="cpu")
    before = dataset.images[7].permute(1, 2, 0).numpy().copy()
    corrupt_in_memory(dataset, CommonCorruption("frost", 2, "rgb"))
    expected = CommonCorruption("frost", 2, "rgb")(dict(img=before, sample_idx=7))["img"]
    assert np.array_equal(dataset.images[7].permute(1, 2, 0).numpy(), expected)


def test_a_corruption_is_the_same_each_time_and_takes_images_in_either_order():
    image = np.random.RandomState(0).randint(0, 256, (32, 32, 3)).astype(np.uint8)
    once = CommonCorruption("gaussian_noise", 3)(dict(img=image, sample_idx=5))["img"]
    assert np.array_equal(once, CommonCorruption("gaussian_noise", 3)(dict(img=image, sample_idx=5))["img"])
    assert not np.array_equal(once, CommonCorruption("gaussian_noise", 3)(dict(img=image, sample_idx=6))["img"])
    flipped = CommonCorruption("gaussian_noise", 3, "rgb")(dict(img=image[..., ::-1], sample_idx=5))["img"]
    assert np.array_equal(once, flipped[..., ::-1])


@pytest.mark.parametrize("arguments", [("rain", 1), ("fog", 6), ("fog", 1, "grey")])
def test_a_wrong_corruption_is_refused(arguments):
    with pytest.raises(ValueError, match="should be"):
        CommonCorruption(*arguments)
