"""The demo data: reproducible, correctly annotated, free of leaks, and complete or absent."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("skimage")
pytest.importorskip("sklearn")
cv2 = pytest.importorskip("cv2")

import numpy as np  # noqa: E402

from smix_mm.datasets import demo as digits  # noqa: E402
from smix_mm.datasets.demo import CLASSES, make_digit_scenes  # noqa: E402

SMALL = dict(train_scenes=12, test_scenes=5, pretrain_train=12, pretrain_test=7)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "digits"
    make_digit_scenes(out, seed=0, **SMALL)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def annotated_scenes(out: Path):
    """Each scene's image and its (name, (xmin, ymin, xmax, ymax)) as they stand in the XML."""
    for path in sorted((out / "detection/Annotations").glob("*.xml")):
        root = ElementTree.parse(path).getroot()
        image = cv2.imread(str(out / "detection/JPEGImages" / root.findtext("filename")))
        size = tuple(int(root.findtext(f"size/{side}")) for side in ("height", "width", "depth"))
        assert size == image.shape == (96, 128, 3)
        objects = []
        for item in root.iter("object"):
            corners = [int(item.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
            objects.append((item.findtext("name"), tuple(corners)))
        yield image, objects


def test_same_seed_gives_the_same_bytes_and_another_seed_other_images(data, tmp_path):
    make_digit_scenes(tmp_path / "again", seed=0, **SMALL)
    make_digit_scenes(tmp_path / "other", seed=1, **SMALL)
    first, again, other = contents(data), contents(tmp_path / "again"), contents(tmp_path / "other")
    assert first == again
    assert first.keys() == other.keys()
    images = [name for name in first if name.endswith((".jpg", ".png"))]
    assert not any(first[name] == other[name] for name in images)


def test_more_training_scenes_leave_the_other_sets_and_the_first_scenes_as_they_are(data, tmp_path):
    make_digit_scenes(tmp_path / "more", seed=0, **{**SMALL, "train_scenes": 14})
    first, more = contents(data), contents(tmp_path / "more")
    changed = {"manifest.json", "detection/ImageSets/Main/train.txt"}
    assert all(more[name] == first[name] for name in first.keys() - changed)


def test_every_set_has_the_asked_number_of_images_and_pretraining_has_all_classes(data):
    for split, scenes, patches in (("train", 12, 12), ("test", 5, 7)):
        stems = (data / f"detection/ImageSets/Main/{split}.txt").read_text().split()
        assert len(stems) == len(set(stems)) == scenes
        assert all((data / f"detection/JPEGImages/{stem}.jpg").is_file() for stem in stems)
        found = sorted((data / "classification" / split).glob("*/*.png"))
        assert len(found) == patches
        assert sorted({path.parent.name for path in found}) == sorted(CLASSES)
        assert {cv2.imread(str(path)).shape for path in found} == {(32, 32, 3)}


def test_every_box_has_area_and_lies_in_its_image_and_boxes_do_not_overlap(data):
    for _, objects in annotated_scenes(data):
        assert 1 <= len(objects) <= 4
        covered = np.zeros((96, 128), int)
        for name, (x1, y1, x2, y2) in objects:
            assert name in CLASSES
            assert 1 <= x1 < x2 <= 128 and 1 <= y1 < y2 <= 96
            # The corners count from 1 and are both inside the box.
            assert 24 <= max(x2 - x1 + 1, y2 - y1 + 1) <= 36
            covered[y1 - 1 : y2, x1 - 1 : x2] += 1
        assert covered.max() == 1


def test_boxes_are_tight_around_the_ink(tmp_path, monkeypatch):
    # On plain grey every pixel that differs is ink.
    monkeypatch.setattr(digits, "load_photograph", lambda name: np.full((300, 400, 3), 128, np.uint8))
    make_digit_scenes(tmp_path / "grey", seed=0, **SMALL)
    gaps = []
    for image, objects in annotated_scenes(tmp_path / "grey"):
        # Half of the least contrast, 0.9 x 110 levels, because JPEG is not exact; in grey, as it smears hues.
        ink = np.abs(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(int) - 128) > 49
        around = np.zeros_like(ink)
        for _, (x1, y1, x2, y2) in objects:
            rows, columns = np.nonzero(ink[y1 - 1 : y2, x1 - 1 : x2])
            ends = (y2 - y1 - rows.max(), x2 - x1 - columns.max())
            gaps.append((rows.min(), columns.min(), *ends))
            around[max(0, y1 - 2) : y2 + 1, max(0, x1 - 2) : x2 + 1] = True
        assert not (ink & ~around).any()
    assert len(gaps) > 20
    assert np.max(gaps) <= 1
    # Corners that counted from 0, or lay outside, would leave a gap of one at a side of every box.
    assert np.mean(gaps, axis=0).max() < 0.5


class NoChance:
    """In place of a random generator: neither turned nor stretched."""

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


def test_a_turned_and_stretched_digit_stays_close_to_its_own_scan():
    numbers = np.concatenate(list(digits.scan_numbers("train").values()))
    scans = (digits.load_digits().images / 16).astype(np.float32)
    upright = np.stack([cv2.resize(digits.draw_digit(scans[n], 40, NoChance()), (16, 16)) for n in numbers])
    rng, ranks = np.random.default_rng(0), []
    for position in range(0, len(numbers), 20):
        ink = digits.draw_digit(scans[numbers[position]], 40, rng)
        assert ink.dtype == np.float32 and max(ink.shape) == 40 and ink.min() >= 0 and ink.max() == 1
        distances = np.square(upright - cv2.resize(ink, (16, 16))).sum((1, 2))
        ranks.append(np.count_nonzero(distances < distances[position]))
    # Among more than 600 scans, and drawn up to 12 degrees aslant.
    assert len(numbers) > 600 and np.mean(np.array(ranks) < 30) > 0.9


def test_train_and_test_share_neither_scans_nor_photographs():
    train, test = digits.scan_numbers("train"), digits.scan_numbers("test")
    assert list(train) == list(test) == list(CLASSES)
    labels = digits.load_digits().target
    for name in CLASSES:
        assert not set(train[name]) & set(test[name])
        assert len(train[name]) >= 100 and len(test[name]) >= 40
        assert set(labels[train[name]]) == set(labels[test[name]]) == {digits.DIGITS[name]}
    assert not set(digits.PHOTOGRAPHS["train"]) & set(digits.PHOTOGRAPHS["test"])


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_set_is_drawn_from_its_own_scans_and_photographs_only(tmp_path, monkeypatch, split):
    other = "test" if split == "train" else "train"
    numbers, load = digits.scan_numbers, digits.load_photograph
    # The other split gets black photographs and one scan of each class, which must not show in this one.
    few = {name: rows[:1] for name, rows in numbers(other).items()}
    monkeypatch.setattr(digits, "scan_numbers", lambda asked: numbers(asked) if asked == split else few)
    shown = digits.PHOTOGRAPHS[split]
    monkeypatch.setattr(digits, "load_photograph", lambda name: load(name) * (name in shown))
    make_digit_scenes(tmp_path / "crippled", seed=0, **SMALL)
    monkeypatch.undo()
    make_digit_scenes(tmp_path / "whole", seed=0, **SMALL)
    crippled, whole = contents(tmp_path / "crippled"), contents(tmp_path / "whole")
    for name in whole:
        if name.endswith((".jpg", ".png")):
            assert (crippled[name] == whole[name]) == (f"/{split}" in name)


def test_mmdetection_reads_the_scenes_with_every_object(data):
    pytest.importorskip("mmdet")
    from mmdet.datasets import VOCDataset

    dataset = VOCDataset(
        data_root=str(data / "detection"),
        ann_file="ImageSets/Main/train.txt",
        data_prefix=dict(sub_data_root=""),
        metainfo=dict(classes=CLASSES),
        pipeline=[],
    )
    written = [objects for _, objects in annotated_scenes(data)][-12:]
    assert len(dataset) == 12
    for index, objects in enumerate(written):
        info = dataset.get_data_info(index)
        assert Path(info["img_path"]).is_file() and (info["height"], info["width"]) == (96, 128)
        # MMDetection counts from 0.
        shifted = [(name, [x - 1 for x in corners]) for name, corners in objects]
        assert [(CLASSES[item["bbox_label"]], item["bbox"]) for item in info["instances"]] == shifted


def test_mmpretrain_numbers_the_class_folders_as_detection_does(data):
    pytest.importorskip("mmpretrain")
    from mmpretrain.datasets import CustomDataset

    dataset = CustomDataset(data_root=str(data / "classification/train"), pipeline=[])
    assert tuple(dataset.CLASSES) == CLASSES
    assert len(dataset) == 12
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        assert CLASSES[info["gt_label"]] == Path(info["img_path"]).parent.name


def test_an_interrupted_making_leaves_nothing(tmp_path, monkeypatch):
    write, calls = digits._write, []

    def failing(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) > 20:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(digits, "_write", failing)
    with pytest.raises(KeyboardInterrupt):
        make_digit_scenes(tmp_path / "digits", **SMALL)
    assert calls[0].parts[: len(tmp_path.parts)] == tmp_path.parts
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    make_digit_scenes(tmp_path / "digits", **SMALL)
    assert (tmp_path / "digits/manifest.json").is_file()


def test_a_second_call_does_nothing(data, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]}
    monkeypatch.setattr(digits, "_write", lambda *_: pytest.fail("wrote a file"))
    make_digit_scenes(data, seed=0, **SMALL)
    assert {path: path.stat().st_mtime_ns for path in [data, *data.rglob("*")]} == before


@pytest.mark.parametrize("manifest", [None, "", "[]", "{}", '{"recipe": 1}'])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path, manifest):
    (tmp_path / "mine").write_text("precious")
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="something other than the demo data"):
        make_digit_scenes(tmp_path, **SMALL)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("change", [dict(seed=1), dict(test_scenes=6), dict(pretrain_train=13)])
def test_data_of_other_arguments_is_refused(data, change):
    before = contents(data)
    with pytest.raises(FileExistsError, match="something other than the demo data"):
        make_digit_scenes(data, **{"seed": 0, **SMALL, **change})
    assert contents(data) == before


def test_data_of_an_older_recipe_is_refused(data, monkeypatch):
    monkeypatch.setattr(digits, "RECIPE", digits.RECIPE + 1)
    with pytest.raises(FileExistsError, match="something other than the demo data"):
        make_digit_scenes(data, seed=0, **SMALL)


def test_an_empty_folder_is_filled_and_a_file_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    make_digit_scenes(tmp_path / "empty", **SMALL)
    assert (tmp_path / "empty/manifest.json").is_file()
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FileExistsError):
        make_digit_scenes(tmp_path / "file", **SMALL)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("wrong", [dict(seed=-1), dict(train_scenes=0), dict(pretrain_test=4)])
def test_too_small_a_number_is_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(ValueError, match="expected a seed of at least 0"):
        make_digit_scenes(tmp_path / "digits", **{**SMALL, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_sources_name_every_photograph_and_the_digits(data):
    text = (data / "LICENSES.md").read_text(encoding="utf-8")
    for split in digits.PHOTOGRAPHS.values():
        for name in split:
            line = text[text.index(f"`{name}`") :].split("\n- ")[0]
            assert "CC0" in line or "public domain" in line
    assert "Alpaydin" in text and "CC BY 4.0" in text


def test_manifest_hash_changes_with_the_images(data, tmp_path):
    manifest = json.loads((data / "manifest.json").read_text())
    make_digit_scenes(tmp_path / "other", seed=1, **SMALL)
    other = json.loads((tmp_path / "other/manifest.json").read_text())
    assert len(manifest["sha256"]) == 64 and manifest["sha256"] != other["sha256"]
    assert manifest["images"]["detection train"] == 12 and manifest["seed"] == 0
