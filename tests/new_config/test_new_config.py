"""Configs for a user's own images: what is recognised, what is written, and that it trains."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from mmengine.config import Config
from PIL import Image

from smix_mm.cli import run
from smix_mm.new_config import BACKBONES, find_layout, new_config
from smix_mm.preflight import preflight
from smix_mm.transfer import publish_backbone
from smix_mm.utils.errors import DataError, UsageError

NO_WORKERS = {f"{part}_dataloader.num_workers": 0 for part in ("train", "val", "test")}


def image(path: Path, seed: int = 0, size: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def class_folders(tmp_path):
    for number in range(12):
        part = "train" if number < 8 else "val"
        image(tmp_path / f"images/{part}/{'bird' if number % 2 else 'ant'}/{number}.png", number)
    return tmp_path / "images"


def coco(names, categories, boxes_each=1):
    images = [dict(id=number, file_name=name, width=40, height=40) for number, name in enumerate(names)]
    annotations = [
        dict(id=number, image_id=number, category_id=categories[number % len(categories)]["id"], bbox=[5, 5, 20, 20],
             area=400, iscrowd=0)
        for number in range(len(names))
    ]  # fmt: skip
    return dict(images=images, annotations=annotations, categories=categories)


CATEGORIES = [dict(id=7, name="dog"), dict(id=3, name="cat")]


def write_coco(root, files):
    """``files``: for each JSON file, the folder of its images."""
    for seed, (file, folder) in enumerate(files.items()):
        names = [f"{seed}{number}.png" for number in range(4)]
        for number, name in enumerate(names):
            image(root / folder / name, number + 10 * seed)
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(json.dumps(coco(names, CATEGORIES)))
    return root


COCO_LAYOUTS = {
    "official": {"annotations/instances_train2017.json": "train2017", "annotations/instances_val2017.json": "val2017"},
    "beside": {"train/_annotations.coco.json": "train", "valid/_annotations.coco.json": "valid"},
    "images": {"annotations/train.json": "images/train", "annotations/test.json": "images/test"},
    "flat": {"train.json": "images", "val.json": "images"},
}


def test_class_folders_are_recognised_and_a_list_of_classes_beside_them_makes_no_difference(class_folders):
    (class_folders / "classes.txt").write_text("ant\nbird\n")
    layout = find_layout(class_folders)
    assert (layout.kind, layout.classes, layout.number) == ("classes", ("ant", "bird"), 8)
    assert layout.train["data_prefix"] == "train" and layout.test["data_prefix"] == "val"


@pytest.mark.parametrize("name", COCO_LAYOUTS)
def test_the_usual_layouts_of_coco_format_are_recognised(name, tmp_path):
    train, test = COCO_LAYOUTS[name]
    layout = find_layout(write_coco(tmp_path, COCO_LAYOUTS[name]))
    # In the order of the file, not of the ids: MMDetection numbers labels so.
    assert (layout.kind, layout.classes, layout.number) == ("coco", ("dog", "cat"), 4)
    # It holds the training images too.
    shutil.copy(tmp_path / train, (tmp_path / train).with_name("instances_trainval2017.json"))
    layout = find_layout(tmp_path)
    for settings, file in ((layout.train, train), (layout.test, test)):
        assert settings["ann_file"] == file
        assert settings["data_prefix"]["img"] == f"{COCO_LAYOUTS[name][file]}/"


def test_voc_format_is_tested_on_images_that_it_does_not_train_on(smix_data, tmp_path):
    layout = find_layout(smix_data / "BCCD")
    assert (layout.kind, layout.classes, layout.number) == ("voc", ("Platelets", "RBC", "WBC"), 205)
    assert layout.test["ann_file"] == "ImageSets/Main/val.txt"
    shutil.copytree(smix_data / "BCCD", tmp_path / "voc", ignore=shutil.ignore_patterns("JPEGImages", "train.txt"))
    layout = find_layout(tmp_path / "voc")
    assert layout.train["ann_file"].endswith("/trainval.txt") and layout.test["ann_file"].endswith("/test.txt")
    (tmp_path / "voc/ImageSets/Main/test.txt").unlink()
    with pytest.raises(DataError, match=r"should hold train.txt and val.txt \(or test.txt\), or trainval.txt and"):
        find_layout(tmp_path / "voc")


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("ImageSets/Main/train.txt", b"caf\xe9\n", "train.txt is not text in UTF-8"),
        (
            "Annotations/a.xml",
            b"<!DOCTYPE a [<!ENTITY e 'x'>]><annotation><object><name>&e;</name></object></annotation>",
            "a.xml should be an annotation in VOC format: should be XML without entities",
        ),
        ("Annotations/a.xml", b"<annotation>", "a.xml should be an annotation in VOC format: no element found"),
    ],
)
def test_a_file_in_voc_format_that_cannot_be_read_is_named(file, content, message, tmp_path):
    for folder in ("Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    for part in ("train", "val"):
        (tmp_path / f"ImageSets/Main/{part}.txt").write_text("a\n")
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        find_layout(tmp_path)


def test_a_folder_of_another_layout_is_refused_with_what_is_expected(class_folders, tmp_path):
    with pytest.raises(DataError, match="is no folder; give the folder that holds the images"):
        find_layout(tmp_path / "none")
    with pytest.raises(DataError, match=r"should hold train/<class>/ and val/<class>/, .* got images\."):
        find_layout(tmp_path)
    shutil.rmtree(class_folders / "val/bird")
    with pytest.raises(DataError, match="train and val should hold the same classes; only one has bird"):
        find_layout(class_folders)
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco/train.json").write_text(json.dumps(coco(["a.png"], CATEGORIES)))
    with pytest.raises(DataError, match=r"a JSON file for training and one for val or test, got train\.json alone"):
        find_layout(tmp_path / "coco")
    (tmp_path / "coco/val.json").write_text(json.dumps(coco(["a.png"], CATEGORIES)))
    with pytest.raises(DataError, match=r"a\.png, the first image of .*train\.json, is in none of the folders"):
        find_layout(tmp_path / "coco")


def test_nothing_is_overwritten_and_options_are_checked(class_folders, tmp_path, capsys):
    out = tmp_path / "mine.py"
    arguments = ["--data", str(class_folders), str(out)]
    assert run("new_config", arguments) == 0
    first = out.read_text()
    assert "2 classes, 8 training images" in capsys.readouterr().out
    assert run("new_config", arguments) == 2 and out.read_text() == first
    assert capsys.readouterr().err == f"new_config.py: {out} exists; choose another name.\n"
    for options, message in (
        (dict(out=tmp_path / "mine.yaml"), "should be a .py file"),
        (dict(out=tmp_path / "other.py", backbone="vgg16"), "backbone should be one of 'resnet18', .* got 'vgg16'"),
        (dict(out=tmp_path / "other.py", weights="none.pth"), "should be a file .* got none.pth, which is none"),
        (
            dict(out=tmp_path / "other.py", mix="mixup"),
            "mix should be one of 'saliencymix', 'cutmix', 'none', got 'mixup'",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            new_config(class_folders, **options)
    assert not (tmp_path / "other.py").exists()


@pytest.mark.parametrize(
    "published, got", [(True, "a ResNet-34; give --backbone resnet34"), (False, "another network")]
)
def test_weights_of_another_backbone_are_refused(published, got, class_folders, tmp_path):
    weights = torchvision.models.resnet34().state_dict()
    torch.save(weights if published else {f"backbone.{name}": weights[name] for name in weights}, tmp_path / "a.pth")
    for backbone in {*BACKBONES} - {"resnet34"}:
        with pytest.raises(UsageError, match=rf"those of a ResNet-{backbone[6:]}, got .*a.pth, which holds {got}"):
            new_config(class_folders, tmp_path / "mine.py", backbone=backbone, weights=str(tmp_path / "a.pth"))
    assert not (tmp_path / "mine.py").exists()
    if published:
        new_config(class_folders, tmp_path / "mine.py", backbone="resnet34", weights=str(tmp_path / "a.pth"))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("kind", ["classes", "coco"])
def test_a_written_config_contradicts_itself_nowhere(kind, backbone, class_folders, tmp_path):
    data = class_folders if kind == "classes" else write_coco(tmp_path / "coco", COCO_LAYOUTS["official"])
    out = tmp_path / "mine.py"
    new_config(data, out, backbone=backbone)
    assert preflight(Config.fromfile(out)) == []


@pytest.mark.parametrize("mix", ["saliencymix", "cutmix", "none"])
def test_a_written_classifier_trains(mix, class_folders, tmp_path):
    from smix_mm.engine.train import train

    out = tmp_path / "mine.py"
    new_config(class_folders, out, backbone="resnet18", mix=mix)
    options = {**NO_WORKERS, "train_cfg.max_epochs": 1, "train_dataloader.batch_size": 4}
    options["data_preprocessor.batch_augments.probs"] = 1.0
    if mix == "none":
        options.pop("data_preprocessor.batch_augments.probs")
    train(out, work_dir=tmp_path / "run", cfg_options=options)
    assert (tmp_path / "run/epoch_1.pth").is_file()


@pytest.mark.long
@pytest.mark.parametrize("data", ["coco", "voc"])
def test_a_written_detector_trains_from_a_published_backbone(data, smix_data, tmp_path, run_tool):
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    publish_backbone(tmp_path / "resnet18.pth", tmp_path / "backbone.pth")
    images = write_coco(tmp_path / "coco", COCO_LAYOUTS["official"]) if data == "coco" else smix_data / "BCCD"
    out = tmp_path / "detector.py"
    new_config(images, out, backbone="resnet18", weights=str(tmp_path / "backbone.pth"))
    proof = run_tool("tools/prove.py", out).stdout
    assert f"Every backbone tensor of the model equals that of {tmp_path / 'backbone.pth'} (whole)." in proof
    wrong = run_tool("tools/prove.py", out, "--cfg-options", "model.backbone.depth=34", check=False)
    assert wrong.returncode == 2 and "FasterRCNN does not start from" in wrong.stdout
    assert "Traceback" not in wrong.stdout
    # Smaller, so that it takes seconds.
    out.write_text(out.read_text().replace("scale = (1333, 800)", "scale = (160, 128)"))
    few = [f"{part}_dataloader.dataset.indices=2" for part in ("train", "val")]
    options = ["train_cfg.max_epochs=1", *few, *(f"{key}={value}" for key, value in NO_WORKERS.items())]
    log = run_tool("tools/train.py", out, "--work-dir", tmp_path / "run", "--cfg-options", *options).stdout
    assert "Load proof: every backbone tensor equals" in log and "coco/mAP" in log
