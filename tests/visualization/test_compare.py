"""Class activation maps and detections of several checkpoints on the same images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from smix_mm.cli import run
from smix_mm.evaluation import Detections
from smix_mm.robustness.attacks import PixelClassifier
from smix_mm.utils.errors import DataError, UsageError
from smix_mm.visualization.compare_cam import class_activation_map, compare_cam, last_map
from smix_mm.visualization.compare_detections import compare_detections

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def nets(tmp_path_factory) -> tuple[Path, dict[str, Path], torch.nn.Module]:
    from mmpretrain.registry import MODELS

    folder = tmp_path_factory.mktemp("nets")
    config = folder / "config.py"
    config.write_text(
        f'_base_ = "{ROOT}/configs/cifar10/resnet18_baseline_cifar10.py"\n'
        "model = dict(backbone=dict(stem_channels=16, base_channels=16), head=dict(in_channels=128))\n"
        'test_dataloader = dict(dataset=dict(metainfo=dict(classes=list("abcdefghij"))))\n'
    )
    cfg = Config.fromfile(config)
    init_default_scope("mmpretrain")
    files = {}
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        preprocessor = {"type": "ClsDataPreprocessor", **cfg.data_preprocessor}
        model = MODELS.build({**cfg.model, "data_preprocessor": preprocessor}).eval()
        files[name] = folder / f"{name}.pth"
        torch.save(dict(state_dict=model.state_dict()), files[name])
    return config, files, model


@pytest.fixture
def images(few_cifar10) -> list[Path]:
    return sorted((few_cifar10 / "test").rglob("*.jpg"))[::20]


def test_maps_of_two_checkpoints_are_drawn_on_the_same_images(nets, images, tmp_path):
    config, files, _ = nets
    first = compare_cam(config, files, images, tmp_path / "cam.png", label=3)
    assert first.read_bytes().startswith(b"\x89PNG")
    swapped = compare_cam(config, dict(one=files["two"], two=files["one"]), images, tmp_path / "o.png", label=3)
    assert swapped.read_bytes() != first.read_bytes()


@pytest.mark.parametrize("name", ["resnet18_baseline_cifar10.py", "fast/resnet18_baseline_cifar10.py"])
def test_configs_of_official_files_and_of_data_in_memory_draw_the_same(nets, images, tmp_path, monkeypatch, name):
    config, files, _ = nets
    expected = compare_cam(config, files, images, tmp_path / "files.png").read_bytes()
    (tmp_path / "cifar-10-batches-py").mkdir()
    monkeypatch.setenv("SMIX_CIFAR10", str(tmp_path))
    small = {"model.backbone.stem_channels": 16, "model.backbone.base_channels": 16, "model.head.in_channels": 128,
             "test_dataloader.dataset.metainfo": dict(classes=list("abcdefghij"))}  # fmt: skip
    drawn = compare_cam(ROOT / "configs/cifar10" / name, files, images, tmp_path / "a.png", cfg_options=small)
    assert drawn.read_bytes() == expected


def test_a_config_of_packed_images_draws_the_files_and_a_truncated_one_is_named(nets, images, tmp_path):
    config, files, _ = nets
    expected = compare_cam(config, files, images[:2], tmp_path / "a.png").read_bytes()
    load = dict(type="LoadImageFromFile", backend_args=dict(backend="lmdb", db_path="none.lmdb"))
    packed = {"test_dataloader.dataset.pipeline": [load, dict(type="PackInputs")]}
    assert compare_cam(config, files, images[:2], tmp_path / "b.png", cfg_options=packed).read_bytes() == expected
    (tmp_path / "cut.jpg").write_bytes(images[0].read_bytes()[:600])
    with pytest.raises(DataError, match="cut.jpg is truncated: it ends after 600 bytes"):
        compare_cam(config, files, [tmp_path / "cut.jpg"], tmp_path / "c.png")


def test_an_input_is_never_overwritten(nets, images, blood, tmp_path):
    config, files, _ = nets
    (tmp_path / "link.png").symlink_to(files["one"])
    for out in (config, files["one"], images[0], tmp_path / "link.png"):
        before = Path(out).read_bytes()
        with pytest.raises(UsageError, match="the output should be another file than the input"):
            compare_cam(config, files, images, out)
        assert Path(out).read_bytes() == before
    for out in (blood[0], blood[1]["a"]):
        with pytest.raises(UsageError, match="the output should be another file than the input"):
            compare_detections(blood[0], blood[1], out, images=blood[2][:1])
    with pytest.raises(UsageError, match="the suffix of an image file should be one of"):
        compare_cam(config, dict(one=files["one"]), images[:1], tmp_path / "cam.xyz")


def test_the_map_is_grad_cam_of_the_last_stage(nets):
    """Computed by hand: the weights are the gradient's mean over pixels; negative sums are clipped to zero."""
    classifier = PixelClassifier(nets[2])
    pixels = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0)).float()
    features: list[torch.Tensor] = []
    layer = last_map(classifier, pixels)
    assert layer is nets[2].backbone.layer4 or layer in list(nets[2].backbone.layer4.modules())
    hook = layer.register_forward_hook(lambda module, args, output: features.append(output))
    logits = classifier(pixels)
    hook.remove()
    for label in range(10):
        (gradient,) = torch.autograd.grad(logits[0, label], features[0], retain_graph=True)
        expected = (gradient.mean((2, 3), keepdim=True) * features[0]).sum(1)[0].clamp(min=0).detach().numpy()
        if expected.max() > 0:
            break
    assert expected.max() > 0, "the map of every class is zero"
    found = class_activation_map(classifier, pixels, label)
    assert found.shape == (32, 32) and found.min() >= 0 and found.max() <= 1
    # The map is 4x4 before it is resized: the cell of its maximum should be among the brightest.
    row, column = np.unravel_index(expected.argmax(), expected.shape)
    side = 32 // expected.shape[0]
    cell = found[row * side : (row + 1) * side, column * side : (column + 1) * side]
    assert cell.mean() >= np.quantile(found, 0.85)


@pytest.mark.parametrize(
    "change, message", [("rename", "does not fit the config"), ("label", "label should be from 0 to 9, got 10")]
)
def test_a_checkpoint_or_label_that_does_not_fit_raises(nets, images, tmp_path, change, message):
    config, files, model = nets
    wrong = tmp_path / "wrong.pth"
    torch.save({f"x.{name}": value for name, value in model.state_dict().items()}, wrong)
    with pytest.raises(UsageError, match=message):
        compare_cam(config, dict(a=wrong if change == "rename" else files["one"]), images, "c.png", label=10)


def test_a_missing_image_raises(nets):
    with pytest.raises(FileNotFoundError, match="Image none.jpg does not exist"):
        compare_cam(nets[0], nets[1], ["none.jpg"], "c.png")


def detections(images: list[str], seed: int) -> Detections:
    draw = np.random.RandomState(seed)
    corners = draw.uniform(0, 200, (len(images), 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + 60], 1)
    place = np.arange(len(images), dtype=np.int32)
    zeros = np.zeros(len(images), np.int16)
    return Detections(
        classes=("RBC", "WBC", "Platelets"), images=np.array(images), boxes=boxes,
        scores=np.full(len(images), 0.9, np.float32), labels=zeros, image_of=place, true_boxes=boxes + 3,
        true_labels=zeros, true_image_of=place, difficult=np.zeros(len(images), bool),
    )  # fmt: skip


@pytest.fixture
def blood(smix_data, tmp_path, monkeypatch):
    monkeypatch.setenv("SMIX_BCCD", str(smix_data / "BCCD"))
    images = (smix_data / "BCCD/ImageSets/Main/test.txt").read_text().split()[:5]
    for seed, name in enumerate(("a", "b")):
        detections(images, seed).write(tmp_path / f"{name}.npz")
    return ROOT / "configs/bccd/faster-rcnn_r18_fpn_bccd.py", dict(a=tmp_path / "a.npz", b=tmp_path / "b.npz"), images


def test_detections_of_two_arms_are_drawn_on_the_same_images(blood, tmp_path):
    config, files, images = blood
    drawn = compare_detections(config, files, tmp_path / "d.png", number=2).read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert compare_detections(config, files, tmp_path / "e.png", number=2).read_bytes() == drawn
    assert compare_detections(config, files, tmp_path / "f.png", images=images[:1]).read_bytes() != drawn
    assert compare_detections(config, files, tmp_path / "g.png", number=2, score=0.95).read_bytes() != drawn
    renamed = dict(zip(("first", "second"), files.values()))
    assert compare_detections(config, renamed, tmp_path / "h.png", number=2).read_bytes() != drawn, "no names shown"


def test_detections_of_different_images_raise(blood, tmp_path):
    config, files, images = blood
    detections(images[:4], 0).write(tmp_path / "b.npz")
    with pytest.raises(UsageError, match="should be of the same images and classes, but b and a differ"):
        compare_detections(config, files, tmp_path / "d.png")
    with pytest.raises(UsageError, match="images should be ids of the detections, such as .*, got x"):
        compare_detections(config, dict(a=files["a"]), tmp_path / "d.png", images=["x"])


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("--number", "0", "number should be at least 1, got 0."),
        ("--seed", "-1", "seed should be at least 0, got -1."),
        ("--score", "5", "score should be from 0 to 1, got 5.0."),
        ("--metric", "foo", "--metric should be one of 'voc/mAP_11point', "),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_drawn(blood, tmp_path, capsys, option, value, message):
    files = [f"{name}={file}" for name, file in blood[1].items()]
    out = tmp_path / "d.png"
    assert run("compare_detections", [str(blood[0]), *files, "--out", str(out), option, value]) == 2
    assert message in capsys.readouterr().err and not out.exists()
