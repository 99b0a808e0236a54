"""Sheets of a config's mixed batches."""

import logging
import random
import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smix_mm.batch_augments import SaliencyMix
from smix_mm.cli import run
from smix_mm.datasets.training_batches import (
    TrainingBatch,
    build_preprocessor,
    read_classification_config,
    training_batches,
    unnormalizer,
)
from smix_mm.visualization import browse_mix
from smix_mm.visualization.browse import mix_examples
from smix_mm.visualization.sheet import draw_sheet, short_name

ROOT = Path(__file__).parents[2]
CIFAR = ROOT / "configs/cifar10"


@pytest.fixture
def cifar(crops, monkeypatch):
    monkeypatch.setenv("SMIX_CIFAR10", str(crops))
    return CIFAR


@pytest.mark.parametrize(
    "name, kind, expected",
    [
        (
            "resnet18_saliencymix_cifar10.py",
            "mix",
            "The SaliencyMix of .* is used; training applies it to 50% of batches",
        ),
        ("resnet18_cutmix_cifar10.py", "mix", "The CutMix of .* is used; training applies it to 50% of batches"),
        (
            "resnet18_baseline_cifar10.py",
            "mix",
            "has no SaliencyMix, OfficialSaliencyMix or CutMix; a SaliencyMix with",
        ),
        ("resnet18_cutmix_cifar10.py", "schemes", "has no SaliencyMix; a SaliencyMix with default options is used"),
        ("resnet18_baseline_cifar10.py", "compare", "has no SaliencyMix; a SaliencyMix with default options is used"),
        ("resnet18-imagenet-stem_saliencymix_cifar10.py", "compare", "The SaliencyMix of"),
    ],
)
def test_any_classification_config_is_drawn_and_the_note_names_the_augmentation(cifar, tmp_path, name, kind, expected):
    note = browse_mix(cifar / name, out=tmp_path / "mix.png", html=tmp_path / "mix.html", kind=kind, number=2)
    assert re.search(expected, note)
    page = (tmp_path / "mix.html").read_text()
    assert page.count("<article") == 2 and note in page
    with Image.open(tmp_path / "mix.png") as image:
        assert image.format == "PNG" and image.width > 700


def test_configs_with_images_in_memory_are_drawn(cifar, crops, tmp_path):
    browse_mix(cifar / "fast/resnet18_saliencymix_cifar10.py", html=tmp_path / "mix.html", number=3)
    names = re.findall(r"<figcaption>source:\n(\w+)<", (tmp_path / "mix.html").read_text())
    assert len(names) == 3 and set(names) <= {folder.name for folder in (crops / "train").iterdir()}


def states() -> tuple:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist(), torch.initial_seed()


def test_the_same_seed_gives_the_same_examples_and_restores_the_random_state(photographs, tmp_path):
    before, pages = states(), []
    for seed in (3, 3, 4):
        browse_mix(photographs, html=tmp_path / "mix.html", number=1, seed=seed)
        pages.append((tmp_path / "mix.html").read_bytes())
    assert pages[0] == pages[1] != pages[2]
    assert states() == before


def test_options_of_the_config_are_used(photographs, tmp_path):
    options = {"data_preprocessor.batch_augments.augments.target": "salient"}
    targets = []
    for given in ({}, options):
        browse_mix(photographs, html=tmp_path / "mix.html", number=1, cfg_options=given)
        targets += re.findall(r'alt="(target[^"]+)"', (tmp_path / "mix.html").read_text())
    plain, salient = targets
    assert "most salient pixel" not in plain and "most salient pixel" in salient


def test_batches_of_one_image_are_skipped(photographs, tmp_path):
    """Four images in batches of three: the second batch of each epoch has one."""
    browse_mix(photographs, html=tmp_path / "mix.html", number=4, cfg_options={"train_dataloader.batch_size": 3})
    assert (tmp_path / "mix.html").read_text().count("<article") == 4


def test_colours_equal_those_of_the_image_files(photographs, tmp_path):
    """BGR files, an RGB tensor, normalised and back."""
    cfg = read_classification_config(photographs)
    preprocessor = build_preprocessor(cfg)
    batch = next(training_batches(cfg, preprocessor, seed=0))
    images = unnormalizer(preprocessor, cfg.train_dataloader).uint8_images(batch.inputs)
    assert images.dtype == torch.uint8 and images.shape == (4, 3, 224, 224)
    assert sorted(batch.labels) == ["astronaut", "cat", "coffee", "rocket"]
    suit = images[batch.labels.index("astronaut"), :, 150, 60].tolist()
    assert suit[0] > 150 and suit[0] > 2 * suit[2]  # orange


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(config="none.py"), "config none.py does not exist; give a config file"),
        (dict(config=ROOT / "configs/bccd/faster-rcnn_r18_fpn_bccd.py"), "has default_scope='mmdet'; expected"),
        (dict(number=0), "number should be at least 1, got 0"),
        (dict(seed=-1), "seed should be at least 0, got -1"),
        (dict(kind="all"), "kind should be one of 'mix', 'schemes', 'compare', got 'all'"),
        (dict(cfg_options={"train_dataloader.dataset.data_prefix": "/nowhere"}), "None"),
        (dict(cfg_options={"train_dataloader.batch_size": 1}), "set train_dataloader.batch_size to 2 or more"),
        (dict(cfg_options={"train_dataloader": None}), "has no train_dataloader; expected"),
        (
            dict(cfg_options={"data_preprocessor.type": "SelfSupDataPreprocessor"}),
            "data_preprocessor should be a ClsDataPreprocessor",
        ),
        (dict(cfg_options={"data_preprocessor.batch_augments.augments.std": [999, 999, 999]}), "the same mean and std"),
        (dict(out="mix.gif", small=True), "the file should end in .png, got mix.gif"),
        (dict(out="mix.nothing"), "nothing"),
    ],
)
def test_wrong_arguments_raise_and_write_nothing(photographs, tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    call = {"config": photographs, "out": "mix.png", "number": 1} | change
    with pytest.raises((ValueError, OSError, TypeError), match=None if message == "None" else message):
        browse_mix(call.pop("config"), **call)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "kind, height, width", [("mix", 40, 90), ("mix", 90, 40), ("schemes", 32, 32), ("compare", 32, 32)]
)
def test_captions_overlap_no_other_caption_or_image(photographs, monkeypatch, tmp_path, kind, height, width):
    long = ["great white shark, white shark, man-eater", "W" * 30, "a b c d e f g h i j k l m n o p q", "tiger, big"]
    figures: list = []
    monkeypatch.setattr(
        "smix_mm.visualization.browse.save_sheet", lambda examples, *_: figures.append(draw_sheet(examples))
    )
    resize = {"type": "Resize", "scale": (width, height)}
    options = {
        "train_dataloader.dataset.metainfo.classes": long,
        "train_dataloader.dataset.pipeline": [{"type": "LoadImageFromFile"}, resize, {"type": "PackInputs"}],
    }
    browse_mix(photographs, out=tmp_path / "x.png", kind=kind, number=2, cfg_options=options)
    (figure,) = figures
    figure.canvas.draw()
    panels = [axes for part in figure.subfigs for axes in part.axes if axes.images]
    assert len(panels) == {"mix": 8, "schemes": 32, "compare": 16}[kind]
    images = [axes.get_window_extent() for axes in panels]
    written = [axes.title for axes in panels] + [part.texts[0] for part in figure.subfigs]
    texts = [(text.get_text(), text.get_window_extent()) for text in written]
    for index, (text, box) in enumerate(texts):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 + 1, text
        for other, another in texts[index + 1 :]:
            assert not box.padded(-1).overlaps(another.padded(-1)), (text, other)
        assert not any(box.padded(-1).overlaps(image) for image in images), text


def test_boxes_and_images_are_drawn_in_pixels():
    images = torch.randint(0, 256, (6, 3, 20, 30), generator=torch.Generator().manual_seed(0)).float()
    augment = SaliencyMix(mean=(0, 0, 0), std=(1, 1, 1))
    batch = TrainingBatch(images, list("abcdef"))
    examples = mix_examples(augment, batch, augment, torch.Generator().manual_seed(1), 1)
    assert len(examples) > 2
    part = draw_sheet(examples[:1]).subfigs[0]
    for axes, panel in zip(part.axes, examples[0].panels):
        assert np.array_equal(axes.images[0].get_array(), panel.image)
        if panel.box is not None:
            y1, x1, y2, x2 = panel.box
            drawn = axes.patches[-1].get_bbox()
            assert (drawn.y0, drawn.x0, drawn.y1, drawn.x1) == (y1 - 0.5, x1 - 0.5, y2 - 0.5, x2 - 0.5)


def test_a_small_sheet_keeps_the_colours_of_boxes_and_marks(photographs, tmp_path):
    for small in (False, True):
        browse_mix(photographs, out=tmp_path / f"{small}.png", kind="schemes", number=1, small=small)
    sizes = [(tmp_path / f"{small}.png").stat().st_size for small in (False, True)]
    assert sizes[1] < sizes[0] / 2
    with Image.open(tmp_path / "True.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert len(colours) <= 256 and {(0x39, 0xFF, 0x14), (0x17, 0xBE, 0xCF)} <= colours


@pytest.mark.parametrize(
    "name, short",
    [
        ("cat", "cat"),
        ("great white shark, white shark, man-eater", "great white shark"),
        ("a name that is long indeed", "a name that is lo…"),
    ],
)
def test_class_names_are_shortened(name, short):
    assert short_name(name) == short and len(short) <= 18


def test_the_command_line_prints_the_augmentation_and_the_files(photographs, run_tool, tmp_path):
    done = run_tool("tools/browse_mix.py", photographs, "--out", tmp_path / "a.png", "--html", tmp_path / "a.html",
                    "--compare", "--number", 1, "--cfg-options", "train_dataloader.batch_size=3")  # fmt: skip
    assert "The SaliencyMix of photographs.py is used" in done.stdout
    assert f"written: {tmp_path / 'a.png'}, {tmp_path / 'a.html'}" in done.stdout
    assert (tmp_path / "a.png").is_file() and (tmp_path / "a.html").is_file()


def test_a_truncated_training_image_ends_with_one_sentence_and_status_2(crops, tmp_path, monkeypatch, capsys):
    shutil.copytree(crops, tmp_path / "data")
    image = sorted((tmp_path / "data/train").rglob("*.png"))[0]
    image.write_bytes(image.read_bytes()[:-20])
    monkeypatch.setenv("SMIX_CIFAR10", str(tmp_path / "data"))
    monkeypatch.setattr(logging, "raiseExceptions", False)  # a logger may keep the closed stderr of an earlier test
    assert run("browse_mix", [str(CIFAR / "resnet18_cutmix_cifar10.py"), "--out", str(tmp_path / "mix.png")]) == 2
    assert re.fullmatch(rf"browse_mix.py: .*{image.name} is truncated: .*\n", capsys.readouterr().err)


def test_wrong_arguments_end_with_one_sentence_and_status_2(photographs, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["browse_mix.py", str(photographs), "--number", "0"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "tools/browse_mix.py"), run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "browse_mix.py: number should be at least 1, got 0.\n"
