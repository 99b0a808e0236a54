"""Boxes converted between VOC's, COCO's and YOLO's format: equal after a round trip, and nothing lost in silence."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("defusedxml")

from smix_mm.cli import run
from smix_mm.datasets.convert import convert_data
from smix_mm.new_config import new_config
from smix_mm.utils.errors import DataError, UsageError

CORNERS = ("xmin", "ymin", "xmax", "ymax")
MARK = "difficult objects or crowds left out: YOLO format has no mark for them"


def voc(root: Path) -> dict[str, list[tuple]]:
    """Name, difficult and corners of the objects of each image, and the images of each split."""
    found: dict[str, list] = {}
    for path in sorted((root / "ImageSets/Main").iterdir()):
        found[path.name] = path.read_text().split()
    for path in sorted((root / "Annotations").rglob("*.xml")):
        objects = ElementTree.parse(path).findall("object")
        found[path.relative_to(root / "Annotations").as_posix()] = [
            (one.findtext("name"), one.findtext("difficult"), *(int(one.findtext(f"bndbox/{c}")) for c in CORNERS))
            for one in objects
        ]
    return found


def coco(root: Path) -> dict[str, list[tuple]]:
    """Class, crowd and bbox of the objects of each image."""
    found: dict[str, list] = {}
    for path in sorted((root / "annotations").iterdir()):
        content = json.loads(path.read_text())
        names = {one["id"]: one["name"] for one in content["categories"]}
        for image in content["images"]:
            found[image["file_name"]] = [
                (names[one["category_id"]], one["iscrowd"], *one["bbox"])
                for one in content["annotations"]
                if one["image_id"] == image["id"]
            ]
    return found


@pytest.fixture
def hard(cells):
    """The cells with one difficult object, and a box from the first to the last pixel."""
    cells.change(0, "<difficult>0", "<difficult>1")
    root = ElementTree.parse(cells.xml(1))
    for corner, value in zip(CORNERS, (1, 1, 640, 480)):
        root.find(f"object/bndbox/{corner}").text = str(value)
    root.write(cells.xml(1))
    return cells


def test_voc_to_coco_and_back_gives_equal_files_lists_and_images(hard, tmp_path):
    convert_data(hard.root, tmp_path / "coco", "coco")
    data = convert_data(tmp_path / "coco", tmp_path / "voc", "voc", copy=True)
    assert voc(tmp_path / "voc") == voc(hard.root) and not data.notes
    assert (hard.train[0], "1") in {(Path(name).stem, one[1]) for name, all_ in voc(hard.root).items() for one in all_}
    whole = coco(tmp_path / "coco")[f"{hard.train[1]}.jpg"][0]
    assert whole[2:] == (0, 0, 640, 480)
    for folder, linked in (("coco/images/trainval", True), ("voc/JPEGImages", False)):
        path = tmp_path / folder / f"{hard.train[0]}.jpg"
        assert path.is_symlink() is linked and path.read_bytes() == hard.jpg(0).read_bytes()


def test_voc_to_yolo_to_coco_gives_the_boxes_of_voc_to_coco_but_for_difficult_objects_which_are_counted(hard, tmp_path):
    convert_data(hard.root, tmp_path / "coco", "coco")
    data = convert_data(hard.root, tmp_path / "yolo", "yolo")
    assert data.notes == {MARK: 1}
    convert_data(tmp_path / "yolo", tmp_path / "again", "coco")
    expected = {name: [one for one in boxes if not one[1]] for name, boxes in coco(tmp_path / "coco").items()}
    assert coco(tmp_path / "again") == expected
    convert_data(tmp_path / "yolo", tmp_path / "voc", "voc")
    easy = {name: [one for one in all_ if one[1:2] != ("1",)] for name, all_ in voc(hard.root).items()}
    # YOLO has no "trainval".
    easy["train.txt"] = easy.pop("trainval.txt")
    assert voc(tmp_path / "voc") == easy


def test_fractions_of_a_pixel_stay_in_coco_and_yolo_format_and_are_rounded_in_voc(cells, tmp_path):
    convert_data(cells.root, tmp_path / "coco", "coco")
    file = tmp_path / "coco/annotations/instances_test.json"
    content = json.loads(file.read_text())
    boxes = [[10.25, 20.5, 30.4, 40.1], [600.3, 400.7, 39.71, 79.3], [5, 5, 1.2, 30], [0.4, 0.4, 20, 20]]
    content["annotations"] = [
        dict(id=n, image_id=1, category_id=1, bbox=box, area=30, iscrowd=0, segmentation=[[1, 2, 3, 4, 5, 6]])
        for n, box in enumerate(boxes)
    ]
    file.write_text(json.dumps(content))
    convert_data(tmp_path / "coco", tmp_path / "yolo", "yolo")
    convert_data(tmp_path / "yolo", tmp_path / "again", "coco")
    found = [list(one[2:]) for one in coco(tmp_path / "again")["BloodImage_00000.jpg"]]
    assert found == [pytest.approx(box, abs=1e-4) for box in (boxes[0], [600.3, 400.7, 39.7, 79.3], *boxes[2:])]
    data = convert_data(tmp_path / "coco", tmp_path / "voc", "voc")
    assert [one[2:] for one in voc(tmp_path / "voc")["BloodImage_00000.xml"]] == [
        (11, 22, 41, 61), (601, 402, 640, 480), (1, 1, 20, 20)
    ]  # fmt: skip
    assert data.notes == {
        "boxes left out: narrower or lower than two pixels": 1,
        "segmentations left out: only boxes are converted": 4,
    }


def test_mmdetection_reads_a_converted_box_one_pixel_wider_and_higher_and_ignores_the_same_objects(hard, tmp_path):
    mmdet = pytest.importorskip("mmdet.datasets")
    convert_data(hard.root, tmp_path / "coco", "coco")
    classes = dict(classes=("Platelets", "RBC", "WBC"))
    datasets = [
        mmdet.VOCDataset(
            data_root=str(hard.root),
            ann_file="ImageSets/Main/trainval.txt",
            data_prefix=dict(sub_data_root=""),
            metainfo=classes,
            pipeline=[],
        ),
        mmdet.CocoDataset(
            data_root=str(tmp_path / "coco"),
            ann_file="annotations/instances_trainval.json",
            data_prefix=dict(img="images/trainval/"),
            metainfo=classes,
            pipeline=[],
        ),
    ]
    before, after = ([one for n in range(10) for one in dataset.get_data_info(n)["instances"]] for dataset in datasets)
    assert [(one["bbox_label"], one["ignore_flag"]) for one in before] == [
        (one["bbox_label"], one["ignore_flag"]) for one in after
    ]
    assert sum(one["ignore_flag"] for one in after) == 1
    for one, other in zip(before, after):
        x1, y1, x2, y2 = one["bbox"]
        assert list(other["bbox"]) == [x1, y1, x2 + 1, y2 + 1]


def test_images_of_one_name_in_two_splits_stay_apart(cells, tmp_path):
    convert_data(cells.root, tmp_path / "coco", "coco", copy=True)
    folder = tmp_path / "coco/images"
    for part, name in (("trainval", cells.train[0]), ("test", cells.test[0])):
        file = tmp_path / f"coco/annotations/instances_{part}.json"
        file.write_text(file.read_text().replace(f"{name}.jpg", "same.jpg"))
        (folder / part / f"{name}.jpg").rename(folder / part / "same.jpg")
    convert_data(tmp_path / "coco", tmp_path / "voc", "voc")
    for part, name in (("trainval", cells.train[0]), ("test", cells.test[0])):
        image = tmp_path / f"voc/JPEGImages/{part}/same.jpg"
        assert image.read_bytes() == (cells.root / f"JPEGImages/{name}.jpg").read_bytes()
        assert f"{part}/same" in (tmp_path / f"voc/ImageSets/Main/{part}.txt").read_text().split()
    convert_data(tmp_path / "voc", tmp_path / "again", "coco")
    assert len(coco(tmp_path / "again")) == 12


@pytest.fixture
def yolo(cells, tmp_path) -> Path:
    convert_data(cells.root, tmp_path / "yolo", "yolo", copy=True)
    return tmp_path / "yolo"


def _lists(root: Path) -> None:
    for part in ("train", "test"):
        folder = root / "images" / ("trainval" if part == "train" else part)
        (root / f"{part}.txt").write_text("".join(f"./{path.relative_to(root)}\n" for path in sorted(folder.iterdir())))
    (root / "data.yaml").write_text("train: train.txt\ntest: [test.txt]\nnames: [Platelets, RBC, WBC]\nnc: 3\n")


def _folders(root: Path) -> None:
    for part, name in (("trainval", "train"), ("test", "test")):
        for kind in ("images", "labels"):
            (root / name).mkdir(exist_ok=True)
            (root / kind / part).rename(root / name / kind)
    (root / "data.yaml").write_text(
        "train: ../train/images\nval:\ntest: ../test/images\nnames: {0: Platelets, 1: RBC, 2: WBC}\n"
    )


def _beside(root: Path) -> None:
    for part, name in (("trainval", "train"), ("test", "test")):
        (root / name).mkdir()
        for path in [*(root / "images" / part).iterdir(), *(root / "labels" / part).iterdir()]:
            path.rename(root / name / path.name)
        names = sorted((root / name).glob("*.jpg"))
        (root / f"{name}.txt").write_text("".join(f"{path}\n" for path in names))
    shutil.rmtree(root / "images")
    (root / "data.yaml").write_text("train: train.txt\ntest: test.txt\nnames: [Platelets, RBC, WBC]\n")


@pytest.mark.parametrize("arrange", [_lists, _folders, _beside])
def test_the_usual_layouts_of_yolo_format_give_equal_data(yolo, tmp_path, arrange):
    convert_data(yolo, tmp_path / "one", "coco")
    arrange(yolo)
    convert_data(yolo, tmp_path / "other", "coco")
    found = {Path(name).name: boxes for name, boxes in coco(tmp_path / "other").items()}
    assert found == coco(tmp_path / "one") and len(found) == 12
    assert sorted(os.listdir(tmp_path / "other/annotations")) == ["instances_test.json", "instances_train.json"]


@pytest.mark.parametrize(
    "line, reason",
    [
        ("0 0.5 0.5 0.1", "has 4 values, expected 5: class cx cy w h"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3", "has 7 values"),
        ("0.5 0.5 0.5 0.1 0.1", "expected a whole number and 4 numbers"),
        ("3 0.5 0.5 0.1 0.1", "has the class 3, expected 0 to 2"),
        ("-1 0.5 0.5 0.1 0.1", "has the class -1"),
        ("0 nan 0.5 0.1 0.1", "has a box without area or outside the image"),
        ("0 0.5 0.5 0 0.1", "has a box without area or outside the image"),
        ("0 100 50 20 20", "has a box without area or outside the image"),
    ],
)
def test_a_line_that_is_none_of_yolos_is_named_and_nothing_is_written(yolo, tmp_path, line, reason):
    path = next((yolo / "labels/test").iterdir())
    path.write_text(f"{path.read_text()}\n{line}\n")
    number = len(path.read_text().splitlines())
    with pytest.raises(DataError, match=f"has 1 errors, correct them first: .*{path.name}: line {number} .*{reason}"):
        convert_data(yolo, tmp_path / "out", "coco")
    assert sorted(os.listdir(tmp_path)) == ["cells", "yolo"]


def test_yolo_images_without_a_label_file_are_counted_and_a_folder_without_any_is_refused(yolo, tmp_path):
    next((yolo / "labels/test").iterdir()).unlink()
    data = convert_data(yolo, tmp_path / "coco", "coco")
    assert data.notes == {"images without a label file, which have no object": 1}
    shutil.rmtree(yolo / "labels")
    with pytest.raises(DataError, match="should have label files, labels/NAME.txt for images/NAME.jpg, got none"):
        convert_data(yolo, tmp_path / "out", "coco")
    (yolo / "data.yaml").write_text("train: none\nnames: [a]\n")
    with pytest.raises(DataError, match="yolo/none should be a folder of images or a text file with their paths"):
        convert_data(yolo, tmp_path / "out", "coco")


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"train: images\nnames: {1: a, x: b}\n", "should be numbered from 0, got 1, x"),
        (b"train: images\nnames: [a, a]\n", "should name different classes"),
        (b"names: [a]\n", "and images for train, val or test"),
        (b"[", "should have data.yaml with the names of the classes"),
    ],
)
def test_names_that_cannot_be_used_are_refused(yolo, tmp_path, content, reason):
    (yolo / "data.yaml").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        convert_data(yolo, tmp_path / "out", "coco", given="yolo")


def test_data_with_errors_are_refused_with_what_finds_and_fixes_them(cells, tmp_path):
    cells.change(8, "<xmax>", "<xmax>9")
    with pytest.raises(DataError, match=r"has errors: 1 × box-outside .*tools/check_data.py CONFIG --fix OUT"):
        convert_data(cells.root, tmp_path / "out", "coco")
    cells.jpg(1).unlink()
    with pytest.raises(DataError, match="1 × missing-image"):
        convert_data(cells.root, tmp_path / "out", "yolo")
    assert sorted(os.listdir(tmp_path)) == ["cells"]


def test_a_coco_file_of_another_layout_is_named(cells, tmp_path):
    convert_data(cells.root, tmp_path / "coco", "coco")
    file = tmp_path / "coco/annotations/instances_test.json"
    content = json.loads(file.read_text())
    for change, reason in (
        (dict(images=[1]), "instances_test.json should have a list of objects 'images', got list"),
        (dict(categories=[dict(id=1)]), "instances_test.json has a category without id or name"),
        (dict(images=[dict(id=1)]), "None, the first image of .*instances_test.json, is in none of the folders"),
        (dict(images=[*content["images"], {}]), r"1 × missing-field .*images\[2\] has no file_name or no id"),
    ):
        file.write_text(json.dumps({**content, **change}))
        with pytest.raises(DataError, match=reason):
            convert_data(tmp_path / "coco", tmp_path / "out", "yolo")


def test_nothing_is_written_over_or_into_the_source_or_out_of_the_new_folder(cells, tmp_path):
    for out, reason in (
        (cells.root / "out", "is inside the data root"),
        (cells.root, "is inside"),
        (tmp_path, "exists"),
    ):
        with pytest.raises(DataError, match=reason):
            convert_data(cells.root, out, "coco")
    with pytest.raises(UsageError, match="is in VOC format already; choose another format"):
        convert_data(cells.root, tmp_path / "out", "voc")
    with pytest.raises(UsageError, match="format should be one of voc, coco, yolo, got tfrecord"):
        convert_data(cells.root, tmp_path / "out", "tfrecord")
    with pytest.raises(DataError, match=r"should hold Annotations/ \(VOC format\)"):
        convert_data(cells.root / "JPEGImages", tmp_path / "out", "coco")
    convert_data(cells.root, tmp_path / "coco", "coco")
    file = tmp_path / "coco/annotations/instances_test.json"
    file.write_text(
        file.read_text().replace(f'"{cells.test[1]}.jpg"', f'"../../../cells/JPEGImages/{cells.test[1]}.jpg"')
    )
    with pytest.raises(DataError, match="leads out of the folder of images"):
        convert_data(tmp_path / "coco", tmp_path / "out", "yolo")
    assert sorted(os.listdir(tmp_path)) == ["cells", "coco"]


def test_a_folder_in_yolo_format_becomes_a_detector_config_by_the_command_that_is_named(yolo, tmp_path, capsys):
    with pytest.raises(
        DataError, match="is in YOLO format, .*python tools/convert_data.py .*yolo .*-coco --to coco$"
    ) as error:
        new_config(yolo, tmp_path / "config.py")
    arguments = str(error.value).partition("tools/convert_data.py ")[2].split()
    assert run("convert_data", arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{yolo}-coco: train 10 images, test 2 images of 3 classes (Platelets, RBC, WBC)"
    ]
    assert run("convert_data", arguments) == 2
    assert new_config(f"{yolo}-coco", tmp_path / "config.py").classes == ("Platelets", "RBC", "WBC")
    assert run("check_data", [str(tmp_path / "config.py"), "--jobs", "1"]) == 0
