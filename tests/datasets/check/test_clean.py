"""The cleaned copy: it passes, OpenMMLab reads it, and the source is untouched."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from smix_mm.datasets.check import check_data, write_clean_copy
from smix_mm.datasets.folders import temporary_folder
from smix_mm.utils.errors import DataError
from smix_mm.utils.files import file_hash

pytest.importorskip("defusedxml")

ROOT = Path(__file__).parents[3]


def found(checked) -> set[tuple[str, str]]:
    return {(finding.kind, Path(finding.file).name) for finding in checked.report.findings}


def hashes(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): file_hash(path) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def two_classes(smix_data: Path, tmp_path: Path) -> Path:
    root = tmp_path / "folders"
    samples = sorted((smix_data / "imagenet-samples").glob("*.JPEG"))[:8]
    for number, path in enumerate(samples):
        image = root / ("train" if number < 6 else "test") / "ab"[number % 2] / f"{number}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, image)
    return root


def classification(root: Path) -> dict:
    dataset = dict(type="CustomDataset", data_root=str(root))
    return {f"{part}_dataloader": dict(dataset=dict(dataset, data_prefix=part)) for part in ("train", "test")}


def test_the_cleaned_copy_passes_and_mmdetection_reads_it_and_the_source_is_untouched(cells, tmp_path):
    cells.damage()
    before = hashes(cells.root)
    changes = write_clean_copy(check_data(cells.config(), jobs=1), tmp_path / "clean")
    assert hashes(cells.root) == before
    assert changes == {"sample left out": 6, "size corrected": 1, "object dropped": 1, "box clipped": 1}
    clean = tmp_path / "clean"
    assert (clean / "ImageSets/Main/trainval.txt").read_text().split() == [cells.train[n] for n in (0, 6, 7, 8)]
    assert (clean / "ImageSets/Main/test.txt").read_text().split() == list(cells.test)
    listed = json.loads((clean / "left_out.json").read_text())
    assert len(listed) == 9 and {"file", "change", "kind", "why", "split"} == set(listed[0])
    again = check_data(cells.config(clean), jobs=1, decode=True)
    assert again.report.findings == []
    untouched = f"Annotations/{cells.train[0]}.xml"
    assert (clean / untouched).read_bytes() == (cells.root / untouched).read_bytes()

    mmdet = pytest.importorskip("mmdet.datasets")
    dataset = mmdet.VOCDataset(
        **{k: v for k, v in cells.config(clean)["train_dataloader"]["dataset"].items() if k != "type"}
    )
    boxes = [one["bbox"] for n in range(len(dataset)) for one in dataset.get_data_info(n)["instances"]]
    assert len(dataset) == 4 and len(boxes) == again.report.boxes["train"]
    assert all(0 <= x1 < x2 < 640 and 0 <= y1 < y2 < 480 for x1, y1, x2, y2 in boxes)


def test_ignored_kinds_are_remarks_and_stay_in_the_copy(cells, tmp_path):
    checked = check_data(cells.config(classes=("WBC", "Platelets")), jobs=1, ignore=["unknown-class"])
    assert {finding.kind for finding in checked.report.findings} >= {"unknown-class"} and not checked.report.failed
    assert write_clean_copy(checked, tmp_path / "clean") == {}
    assert hashes(tmp_path / "clean") == {
        **hashes(cells.root),
        "left_out.json": file_hash(tmp_path / "clean/left_out.json"),
    }


def test_a_split_that_leads_out_of_the_data_writes_nothing_outside_of_the_copy(cells, tmp_path):
    with open(cells.trainval, "a") as file:
        file.write("../../../escaped\n")
    changes = write_clean_copy(check_data(cells.config(), jobs=1), tmp_path / "in/clean")
    assert changes == {"line left out": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells", "in"] and os.listdir(tmp_path / "in") == [
        "clean"
    ]


@pytest.mark.parametrize(
    "where, reason",
    [
        ("cells/clean", "is inside the data root"),
        ("linked/clean", "is inside the data root"),
        ("there/../cells/new/clean", "is inside the data root"),
        ("there", "already exists"),
        ("to_empty", "already exists"),
        ("to_nothing", "already exists"),
    ],
)
def test_a_copy_neither_goes_into_the_source_nor_over_anything(cells, tmp_path, where, reason):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").touch()
    (tmp_path / "empty").mkdir()
    for link, target in dict(linked="cells", to_empty="empty", to_nothing="nothing").items():
        (tmp_path / link).symlink_to(tmp_path / target)
    before = hashes(tmp_path)
    with pytest.raises(DataError, match=reason):
        write_clean_copy(check_data(cells.config(), jobs=1), tmp_path / where)
    assert hashes(tmp_path) == before


def test_an_error_that_cannot_be_fixed_is_refused_and_nothing_is_written(cells, tmp_path):
    cells.trainval.write_text("")
    with pytest.raises(DataError, match=r"trainval.txt names no image, which a cleaned copy cannot fix"):
        write_clean_copy(check_data(cells.config(), jobs=1), tmp_path / "clean")
    cells.trainval.write_text("none\n")
    with pytest.raises(DataError, match=r"trainval.txt would have no sample left; nothing was written"):
        write_clean_copy(check_data(cells.config(), jobs=1), tmp_path / "clean")
    assert os.listdir(tmp_path) == ["cells"]


def test_classification_folders_are_checked_and_copied_and_an_emptied_class_keeps_its_number(two_classes, tmp_path):
    train = two_classes / "train"
    for name in ("a/0.jpg", "a/2.jpg"):
        (train / name).write_bytes((train / name).read_bytes()[:500])
    shutil.copy(two_classes / "test/a/6.jpg", train / "a/4.jpg")
    checked = check_data(classification(two_classes), jobs=1)
    assert found(checked) == {
        ("truncated-image", "0.jpg"),
        ("truncated-image", "2.jpg"),
        ("in-train-and-test", "4.jpg"),
    }
    assert write_clean_copy(checked, tmp_path / "clean") == {"sample left out": 3}
    mmpretrain = pytest.importorskip("mmpretrain.datasets")
    dataset = mmpretrain.CustomDataset(data_root=str(tmp_path / "clean"), data_prefix="train")
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [(Path(info["img_path"]).name, info["gt_label"]) for info in infos] == [
        ("1.jpg", 1),
        ("3.jpg", 1),
        ("5.jpg", 1),
    ]
    assert not check_data(classification(tmp_path / "clean"), jobs=1, decode=True).report.failed


def test_classification_lists_are_copied_without_their_bad_lines_and_images(two_classes, tmp_path):
    lines = ["train/a/0.jpg 0", "train/b/1.jpg 1", "train/b/3.jpg", "train/b/5.jpg 7", "train/a/none.jpg 0"]
    (two_classes / "train.txt").write_text("".join(f"{line}\n" for line in lines))
    dataset = dict(type="CustomDataset", data_root=str(two_classes), ann_file="train.txt")
    cfg = dict(train_dataloader=dict(dataset=dataset), model=dict(head=dict(num_classes=2)))
    assert write_clean_copy(check_data(cfg, jobs=1), tmp_path / "clean") == {"sample left out": 1, "line left out": 2}
    assert (tmp_path / "clean/train.txt").read_text().splitlines() == lines[:2]
    dataset["data_root"] = str(tmp_path / "clean")
    assert not check_data(cfg, jobs=1, decode=True).report.failed


def test_what_a_killed_copy_has_left_is_cleared_and_skipped_files_are_listed(two_classes, tmp_path):
    (tmp_path / ".clean.unpacking/half").mkdir(parents=True)
    shutil.copy(two_classes / "train/a/0.jpg", two_classes / "train/a/0.jfif")
    changes = write_clean_copy(check_data(classification(two_classes), jobs=1), tmp_path / "clean")
    assert changes == {"files left out": 1} and sorted(os.listdir(tmp_path)) == ["clean", "folders"]
    assert "1 .jfif file" in (tmp_path / "clean/left_out.json").read_text()


def test_a_second_copy_to_the_same_place_is_refused_and_the_first_goes_on(two_classes, tmp_path):
    checked = check_data(classification(two_classes), jobs=1)
    with temporary_folder(tmp_path / "clean") as first:
        (first / "half").touch()
        with pytest.raises(DataError, match=r"another process builds .*/clean \(process \d+ on .*wait until it ends"):
            write_clean_copy(checked, tmp_path / "clean")
        assert (first / "half").exists()
    write_clean_copy(checked, tmp_path / "clean")
    assert sorted(os.listdir(tmp_path)) == ["clean", "folders"]


def test_two_data_roots_are_refused(cells, two_classes, tmp_path):
    cfg = dict(classification(two_classes), val_dataloader=cells.config()["val_dataloader"])
    with pytest.raises(DataError, match="all datasets should have the same data_root, .*folders, .*cells"):
        write_clean_copy(check_data(cfg, jobs=1), tmp_path / "clean")


def test_an_image_whose_exif_rotation_contradicts_its_annotation_is_left_out_of_the_copy(cells, tmp_path):
    path = cells.jpg(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:
        image.save(path, exif=exif)
    checked = check_data(cells.config(), jobs=1)
    assert ("size-differs", f"{cells.train[0]}.xml") in found(checked)
    write_clean_copy(checked, tmp_path / "clean")
    assert cells.train[0] not in (tmp_path / "clean/ImageSets/Main/trainval.txt").read_text()
