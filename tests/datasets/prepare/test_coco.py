"""COCO, from made-up archives in its publisher's format to the folders that the config reads; and its check."""

import json
import zipfile

import cv2
import numpy as np
import pytest

from smix_mm.datasets.prepare import EXPECTED, check_prepared, detection, prepare_data
from smix_mm.datasets.prepare.data_set import Counts
from smix_mm.utils.errors import DataError


def image(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def annotations(files: list[str]) -> dict:
    images = [dict(id=number, file_name=name, width=16, height=16) for number, name in enumerate(files)]
    objects = [dict(id=n, image_id=n, category_id=5 * (n % 2), bbox=[1, 2, 3, 4]) for n in range(len(files))]
    return dict(images=images, annotations=objects, categories=[dict(id=0, name="ant"), dict(id=5, name="bee")])


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """3 and 2 images of 2 classes; their MD5 are not those of the published archives."""
    files = {"train2017": ["1.jpg", "2.jpg", "3.jpg"], "val2017": ["4.jpg", "5.jpg"]}
    folder = tmp_path / "archives"
    folder.mkdir()
    with zipfile.ZipFile(folder / "annotations_trainval2017.zip", "w") as opened:
        for split, names in files.items():
            opened.writestr(f"annotations/instances_{split}.json", json.dumps(annotations(names)))
            opened.writestr(f"annotations/captions_{split}.json", "{}")
    for split, names in files.items():
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as opened:
            for name in names:
                opened.writestr(f"{split}/{name}", image(int(name[0])))
    unchecked = {part: (name, None, place) for part, (name, _, place) in detection._ARCHIVES.items()}
    monkeypatch.setattr(detection, "_ARCHIVES", unchecked)
    monkeypatch.setitem(EXPECTED, "coco", Counts(2, dict(train2017=3, val2017=2), "this test"))
    return folder


def test_coco_has_images_and_annotations_where_the_config_reads_them(archives, tmp_path):
    folder = prepare_data("coco", tmp_path / "data", sources=[archives])
    assert sorted(path.name for path in folder.iterdir()) == ["annotations", "train2017", "val2017"]
    assert (folder / "val2017/4.jpg").read_bytes() == image(4)
    line = check_prepared("coco", tmp_path / "data").line()
    assert line == "coco is complete: 2 classes, 3 images in train2017, 2 in val2017; every image opens"
    logged = []
    prepare_data("coco", tmp_path / "data", log=logged.append)
    assert logged == [f"coco: {folder} already exists"]


def test_only_what_is_missing_is_fetched_and_by_the_published_addresses(archives, tmp_path, monkeypatch):
    folder = prepare_data("coco", tmp_path / "data", sources=[archives])
    (folder / "val2017").rename(tmp_path / "elsewhere")
    ((missing,),) = detection.Coco("coco", tmp_path / "data").missing().values()
    assert missing.url == "http://images.cocodataset.org/zips/val2017.zip"
    monkeypatch.undo()
    everything = [one for (one,) in detection.Coco("coco", tmp_path / "none").missing().values()]
    assert [len(archive.md5) for archive in everything] == [32] * 3
    with pytest.raises(DataError, match="should have the MD5 f4bbac64.* of annotations_trainval2017.zip, got"):
        prepare_data("coco", tmp_path / "none", sources=[archives])


def test_the_check_finds_what_is_wrong(archives, tmp_path):
    folder = prepare_data("coco", tmp_path / "data", sources=[archives])
    (folder / "train2017/2.jpg").unlink()
    (folder / "val2017/5.jpg").write_bytes(b"no image")
    content = annotations(["4.jpg", "5.jpg"])
    content["annotations"][0]["image_id"] = 77
    (folder / "annotations/instances_val2017.json").write_text(json.dumps(content))
    errors = check_prepared("coco", tmp_path / "data").errors
    assert errors == [
        "train2017/2.jpg does not exist",
        "annotations/instances_val2017.json annotation 0 has the image_id 77, which no image has",
        "val2017/5.jpg OpenCV cannot decode it",
    ]
    (folder / "annotations/instances_val2017.json").write_text('{"images": [')
    (folder / "annotations/instances_train2017.json").unlink()
    errors = check_prepared("coco", tmp_path / "data").errors
    assert errors[:3] == [
        "train2017 has 0 images, expected 3", "val2017 has 0 images, expected 2",
        "0 classes found, expected 2",
    ]  # fmt: skip
    assert errors[3] == "annotations/instances_train2017.json does not exist"
    assert errors[4].startswith("annotations/instances_val2017.json is not JSON: ")
