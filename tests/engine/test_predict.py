"""Predictions on a folder of images, and OpenMMLab's own scripts under this package's command."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from smix_mm.cli import run
from smix_mm.engine.predict import predict
from smix_mm.new_config import new_config
from smix_mm.utils.config import read_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def classifier(images, tmp_path_factory):
    """A config of two classes and a checkpoint of random weights."""
    from mmpretrain.registry import MODELS

    folder = tmp_path_factory.mktemp("classifier")
    for part in ("train", "val"):
        for name in ("ant", "bird"):
            (folder / f"data/{part}/{name}").mkdir(parents=True)
            shutil.copy(images / "0.png", folder / f"data/{part}/{name}/0.png")
    new_config(folder / "data", folder / "classifier.py", backbone="resnet18")
    model = MODELS.build(Config.fromfile(folder / "classifier.py").model)
    content = dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=("ant", "bird"))))
    torch.save(content, folder / "epoch_1.pth")
    return folder


def test_a_classifiers_predictions_are_its_scores_by_image(classifier, images, tmp_path, capsys):
    config, checkpoint = classifier / "classifier.py", classifier / "epoch_1.pth"
    arguments = [str(config), str(checkpoint), str(images), str(tmp_path / "found"), "--device", "cpu"]
    assert run("predict", arguments) == 0
    assert capsys.readouterr().out.endswith(f"2 images: {tmp_path / 'found'}\n")
    found = json.loads((tmp_path / "found/predictions.json").read_text())
    assert sorted(found) == ["0.png", "1.png"]
    for one in found.values():
        assert one["class"] == ("ant", "bird")[one["label"]] and one["score"] == max(one["scores"])
        assert sum(one["scores"]) == pytest.approx(1)
    assert len(list((tmp_path / "found/vis").iterdir())) == 2
    # Nothing is overwritten.
    assert run("predict", arguments) == 2
    assert "is not empty; give a new folder." in capsys.readouterr().err


def test_scores_do_not_depend_on_where_a_config_of_cifar10_reads_its_images(few_cifar10, tmp_path, monkeypatch):
    """Image files, the official files, which are RGB, and data in memory; mmpretrain's inferencer reads BGR."""
    from mmpretrain.registry import MODELS

    small = {"model.backbone.stem_channels": 8, "model.backbone.base_channels": 8, "model.head.in_channels": 64}
    (tmp_path / "official/cifar-10-batches-py").mkdir(parents=True)
    image = min((few_cifar10 / "test/frog").iterdir())
    scores = []
    for name, data in (("", few_cifar10), ("", tmp_path / "official"), ("fast/", tmp_path / "official")):
        monkeypatch.setenv("SMIX_CIFAR10", str(data))
        config = ROOT / f"configs/cifar10/{name}resnet18_baseline_cifar10.py"
        if not scores:
            cfg = read_config(config, small)
            torch.manual_seed(0)
            settings = {**cfg.model, "data_preprocessor": {"type": "ClsDataPreprocessor", **cfg.data_preprocessor}}
            model = MODELS.build(settings).eval()
            torch.save(dict(state_dict=model.state_dict()), tmp_path / "net.pth")
            pixels = torch.from_numpy(cv2.imread(str(image))[None, ..., ::-1].copy()).permute(0, 3, 1, 2)
            mean, std = (torch.tensor(cfg.data_preprocessor[key]).view(3, 1, 1) for key in ("mean", "std"))
            expected = model.head.predict(model.extract_feat((pixels - mean) / std))[0].pred_score
        out = tmp_path / f"out{len(scores)}"
        predict(config, tmp_path / "net.pth", image, out, device="cpu", cfg_options=small)
        scores.append(json.loads((out / "predictions.json").read_text())[image.name]["scores"])
    torch.testing.assert_close(torch.tensor(scores[0]), expected)
    assert scores == [scores[0]] * 3


def test_wrong_use_is_one_sentence(classifier, images, tmp_path, capsys):
    config, checkpoint = str(classifier / "classifier.py"), str(classifier / "epoch_1.pth")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/cut.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "equal").mkdir()
    for name in ("a.png", "a.PNG", "b.png"):
        shutil.copy(images / "0.png", tmp_path / "equal" / name)
    for arguments, message in (
        (["none.py", checkpoint, str(images)], "config none.py does not exist"),
        ([config, "none.pth", str(images)], "checkpoint none.pth does not exist"),
        ([config, checkpoint, "none"], "none does not exist; give an image or a folder of images."),
        ([config, checkpoint, str(tmp_path / "empty")], "has no image; expected files that end in"),
        (
            [config, checkpoint, str(tmp_path / "equal")],
            "images should have different names without their suffixes, which name the results, got a.PNG, a.png;",
        ),
        ([config, checkpoint, str(tmp_path / "broken")], "images should be readable, got cut.jpg ("),
    ):
        assert run("predict", [*arguments, str(tmp_path / "out")]) == 2
        printed = capsys.readouterr().err
        assert message in printed and printed.count("\n") == 1
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty/scan.ppm").write_bytes(b"P6 1")
    assert run("predict", [config, checkpoint, str(tmp_path / "empty"), str(tmp_path / "out")]) == 2
    assert "images should be readable, got scan.ppm (" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, message",
    [
        (("--batch-size", "0"), "batch_size should be at least 1 and score from 0 to 1, got 0 and 0.3."),
        (("--score", "30"), "batch_size should be at least 1 and score from 0 to 1, got 1 and 30.0."),
        (("--device", "gpu"), "device should be such as 'cpu' or 'cuda:0', got 'gpu'"),
        (
            ("--device", "cpu", "--cfg-options", "model.head.num_classes=5"),
            "parameters, but 2 are missing or of another",
        ),
    ],
)
def test_nothing_is_predicted_by_options_or_weights_that_do_not_fit(
    classifier, images, tmp_path, capsys, options, message
):
    files = [classifier / "classifier.py", classifier / "epoch_1.pth", images, tmp_path / "out"]
    assert run("predict", [*map(str, files), *options]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("tool, more", [("test", []), ("test_robustness", ["--attack", "none"])])
def test_a_test_refuses_classes_in_another_order_than_in_training(classifier, tmp_path, capsys, tool, more):
    command = [str(classifier / "classifier.py"), str(classifier / "epoch_1.pth"), "--work-dir", str(tmp_path), *more]
    command += ["--cfg-options", "test_dataloader.num_workers=0", "test_dataloader.persistent_workers=False"]
    assert run(tool, [*command, "test_dataloader.dataset.metainfo.classes=('bird','ant')"]) == 2
    assert "test_dataloader.dataset.metainfo.classes has the order (bird, ant), but" in capsys.readouterr().err
    assert run(tool, [*command, "test_dataloader.dataset.metainfo.classes=('ant','crow')"]) == 0
    assert "test_dataloader.dataset.metainfo.classes is (ant, crow), but" in capsys.readouterr().out


def test_scripts_of_openmmlab_are_listed_and_others_refused(capsys):
    assert run("openmmlab", ["mmdet"]) == 0
    assert "analysis_tools/confusion_matrix.py" in capsys.readouterr().out.split()
    assert run("openmmlab", ["mmdet", "../setup.py"]) == 2
    assert "script should be one that `mmdet` alone lists" in capsys.readouterr().err


@pytest.mark.long
def test_after_a_training_of_a_detector_every_command_of_the_page_runs(few_cifar10, smix_data, tmp_path, run_tool):
    config = tmp_path / "detector.py"
    new_config(smix_data / "BCCD", config, backbone="resnet18")
    # Smaller, so that it takes seconds.
    config.write_text(config.read_text().replace("scale = (1333, 800)", "scale = (160, 128)"))
    few = [f"{part}_dataloader.dataset.indices=3" for part in ("train", "val", "test")]
    options = ["--cfg-options", "train_cfg.max_epochs=1", *few]
    options += [f"{part}_dataloader.num_workers=0" for part in ("train", "val", "test")]
    run_tool("tools/train.py", config, "--work-dir", tmp_path / "run", *options)
    checkpoint = tmp_path / "run/epoch_1.pth"

    photographs = sorted((smix_data / "BCCD/JPEGImages").iterdir())[:2]
    (tmp_path / "photographs").mkdir()
    for path in photographs:
        shutil.copy(path, tmp_path / "photographs")
    run_tool("tools/predict.py", config, checkpoint, tmp_path / "photographs", tmp_path / "found", "--score", 0.01)
    for path in photographs:
        found = json.loads((tmp_path / f"found/preds/{path.stem}.json").read_text())
        assert len(found["bboxes"]) == len(found["scores"]) == len(found["labels"]) > 0
        drawn = np.asarray(Image.open(tmp_path / f"found/vis/{path.name}"))
        assert drawn.shape == np.asarray(Image.open(path)).shape

    run_tool("tools/test.py", config, checkpoint, "--out", tmp_path / "predictions.pkl", *options)
    (log,) = (tmp_path / "run").glob("*/vis_data/scalars.json")
    script = "tools/openmmlab.py", "mmdet"
    curve = tmp_path / "curve.png"
    run_tool(
        *script, "analysis_tools/analyze_logs.py", "plot_curve", log, log, "--keys", "loss", "--legend", "one", "two",
        "--style", "default", "--out", curve,
    )  # fmt: skip
    run_tool(*script, "analysis_tools/confusion_matrix.py", config, tmp_path / "predictions.pkl", tmp_path, *options)
    assert curve.is_file() and (tmp_path / "confusion_matrix.png").is_file()
    flops = run_tool(*script, "analysis_tools/get_flops.py", config, "--num-images", 1, *options).stdout
    assert "Flops: " in flops and "Params: " in flops
