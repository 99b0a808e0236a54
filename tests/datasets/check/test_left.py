"""A set with nothing left, and sizes that are none: refused or corrected alike by the check and by the training."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("mmcv")
pytest.importorskip("defusedxml")

from mmengine.config import Config

from smix_mm.cli import run
from smix_mm.datasets.check import check_data
from smix_mm.datasets.check.strict import make_strict
from smix_mm.utils.errors import DataError

ROOT = Path(__file__).parents[3]
SIZE = "<width>640</width><height>480</height>"


def training(cells, **filters) -> Config:
    """The cells' training set with a filter."""
    cfg = cells.config()
    cfg["train_dataloader"]["dataset"].update(filter_cfg=filters, pipeline=[])
    return Config(dict(train_dataloader=cfg["train_dataloader"], default_scope="mmdet"))


def rename(cells, change) -> None:
    for path in (cells.root / "Annotations").iterdir():
        path.write_text(
            re.sub(r"<name>(\w+)</name>", lambda found: f"<name>{change(found[1])}</name>", path.read_text())
        )


def built(cfg: Config):
    """The training set as MMDetection reads it in a run, after :func:`make_strict`."""
    mmdet = pytest.importorskip("mmdet.datasets")
    settings = {name: value for name, value in cfg.train_dataloader.dataset.items() if name != "type"}
    dataset = getattr(mmdet, cfg.train_dataloader.dataset.type)(**settings)
    return [dataset.get_data_info(index) for index in range(len(dataset))]


@pytest.mark.parametrize("change, pair", [(str.lower, "rbc/RBC"), ("{} ".format, "RBC /RBC")])
def test_class_names_of_another_case_leave_nothing_and_the_sentence_names_the_pairs(cells, change, pair):
    rename(cells, change)
    reason = (
        rf"^nothing is left of {cells.trainval} \(train\) with 10 images: \d+ of its objects are of classes .*{pair}"
    )
    with pytest.raises(DataError, match=reason) as error:
        make_strict(training(cells))
    assert error.value.exit_status == 2 and "\n" not in str(error.value)
    with pytest.raises(DataError, match=reason):
        check_data(cells.config(), jobs=1).require_samples()


@pytest.mark.parametrize(
    "filters, reason",
    [
        (dict(min_size=481), "10 smaller than min_size=481"),
        (dict(filter_empty_gt=True, bbox_min_size=999), "boxes are smaller than bbox_min_size=999"),
    ],
)
def test_a_filter_that_leaves_nothing_is_named(cells, filters, reason):
    with pytest.raises(DataError, match=reason):
        make_strict(training(cells, **filters))
    cfg = training(cells, **filters)
    with pytest.raises(DataError, match=reason):
        check_data(cfg, jobs=1).require_samples()


def test_images_without_any_object_leave_nothing_to_train_on_but_may_be_tested(cells):
    for path in (cells.root / "Annotations").iterdir():
        path.write_text(f"<annotation><size>{SIZE}</size></annotation>")
    checked = check_data(cells.config(), jobs=1)
    with pytest.raises(DataError, match=r"trainval.txt \(train\) with 10 images: no annotation has a usable box"):
        checked.require_samples()
    checked.listings = [listing for listing in checked.listings if "train" not in listing.split.parts]
    checked.require_samples()


@pytest.mark.parametrize("setting", [dict(sub_data_root="none"), dict(img_subdir="Images"), dict(ann_subdir="Labels")])
def test_a_wrong_folder_leaves_nothing_and_the_first_missing_file_is_named(cells, setting):
    cfg = cells.config()
    for part in ("train", "val", "test"):
        prefix = dict(sub_data_root=setting.get("sub_data_root", ""))
        cfg[f"{part}_dataloader"]["dataset"].update(setting, data_prefix=prefix)
    with pytest.raises(DataError, match="nothing is left of .*every sample has an error, the first: .* does not exist"):
        check_data(cfg, jobs=1).require_samples()


def test_names_with_their_extension_are_a_missing_image_with_a_hint(cells):
    cells.trainval.write_text("".join(f"{name}.jpg\n" for name in cells.train))
    with pytest.raises(DataError, match=rf"does not exist, but {cells.train[0]}.jpg does"):
        check_data(cells.config(), jobs=1).require_samples()


def test_what_a_filter_leaves_out_is_counted_with_its_reason(cells):
    cells.xml(0).write_text(f"<annotation><size>{SIZE}</size></annotation>")
    assert make_strict(training(cells, filter_empty_gt=True)) == [
        f"{cells.trainval}: 1 of 10 images are left out of the training: "
        "1 without an object of the config's classes (filter_empty_gt)."
    ]
    assert make_strict(training(cells)) == []
    findings = check_data(training(cells, filter_empty_gt=True), jobs=1).report.findings
    assert [one.kind for one in findings] == ["filtered-out", "no-boxes"]


@pytest.mark.parametrize("kind", ["CocoDataset", "VOCDataset", "CustomDataset"])
@pytest.mark.parametrize("given, fix", [("cat", r"\('cat',\) with its comma"), (7, "give the names of the classes")])
def test_class_names_that_are_no_list_are_refused_by_every_dataset(tmp_path, kind, given, fix):
    dataset = dict(type=kind, data_root=str(tmp_path), metainfo=dict(classes=given), pipeline=[])
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type="RepeatDataset", times=2, dataset=dataset))))
    with pytest.raises(
        DataError, match=rf"^train_dataloader.dataset.dataset.metainfo.classes should name the classes, but is .*{fix}"
    ):
        make_strict(cfg)
    with pytest.raises(DataError, match=fix):
        check_data(cfg, jobs=1)


@pytest.mark.parametrize(
    "size",
    [
        "<width>0</width><height>0</height>",
        "<width>-640</width><height>480</height>",
        "<width>640.0</width><height>480.0</height>",
        "<width>nan</width><height>480</height>",
        "<width>wide</width><height>480</height>",
        "<width> 640 </width><height> 480 </height>",
        "<height>480</height>",
        "<width>9</width><height>9</height>",
        "",
    ],
)
def test_a_size_that_is_none_or_too_small_is_read_from_the_image_in_training(cells, size):
    for number in range(4):
        cells.change(number, SIZE, size) if SIZE in cells.xml(number).read_text() else _resize(cells.xml(number), size)
    cfg = training(cells, filter_empty_gt=True, min_size=32)
    notes = make_strict(cfg)
    assert not any("left out of the training" in note for note in notes)
    assert [(info["width"], info["height"]) for info in built(cfg)] == [(640, 480)] * 10
    with pytest.raises(DataError, match="10 smaller than min_size=481"):
        make_strict(training(cells, min_size=481))


def _resize(path: Path, size: str) -> None:
    text, count = re.subn(r"<size>.*?</size>", f"<size>{size}</size>", path.read_text(), flags=re.DOTALL)
    assert count == 1
    path.write_text(text)


def coco(cells, sizes: list, categories: tuple[str, ...] = ("RBC", "WBC", "Platelets"), **filters) -> Config:
    images, annotations = [], []
    for number, size in enumerate(sizes):
        images.append(dict(id=number, file_name=cells.jpg(number).name, **size))
        box = dict(bbox=[10, 10, 60, 60], area=3600, iscrowd=0, category_id=1)
        annotations.append(dict(id=number, image_id=number, **box))
    named = [dict(id=number + 1, name=name) for number, name in enumerate(categories)]
    content = dict(images=images, annotations=annotations, categories=named)
    (cells.root / "train.json").write_text(json.dumps(content))
    dataset = dict(
        type="CocoDataset", data_root=str(cells.root), ann_file="train.json", filter_cfg=filters, pipeline=[]
    )
    dataset.update(data_prefix=dict(img="JPEGImages/"), metainfo=dict(classes=("RBC", "WBC", "Platelets")))
    return Config(dict(train_dataloader=dict(dataset=dataset), default_scope="mmdet"))


def test_sizes_of_coco_annotations_are_those_of_the_images_and_no_box_is_lost(cells):
    sizes = [{}, dict(width=0, height=0), dict(width=None, height=480), dict(width="640", height=480)]
    sizes += [dict(width=50, height=50), dict(width=640, height=480)]
    cfg = coco(cells, sizes, filter_empty_gt=True, min_size=60)
    make_strict(cfg)
    infos = built(cfg)
    assert [(info["width"], info["height"], len(info["instances"])) for info in infos] == [(640, 480, 1)] * 6


def test_coco_annotations_of_which_nothing_is_left_and_classes_that_they_lack_are_named(cells):
    cfg = coco(cells, [{}], min_size=481)
    with pytest.raises(DataError, match=r"nothing is left of .*train.json \(train\) with 1 images: 1 smaller than"):
        make_strict(cfg)
    with pytest.raises(DataError, match=r"nothing is left of .*: filter_cfg=\{'min_size': 481\} or indices leave"):
        built(cfg)
    with pytest.raises(DataError, match="has 2 of the config's 3 classes, .*differ by case or blanks: rbc/RBC"):
        make_strict(coco(cells, [{}], categories=("rbc", "WBC", "Platelets")))


@pytest.mark.parametrize("kind", ["none", "empty", "deep", "unread"])
def test_class_folders_without_an_image_are_refused_with_the_reason(tmp_path, crops, kind):
    mmpretrain = pytest.importorskip("mmpretrain.datasets")
    content = next(Path(crops).rglob("*.png")).read_bytes()
    for name in () if kind == "none" else ("ant", "bee") if kind != "deep" else ():
        (tmp_path / "train" / name).mkdir(parents=True)
        if kind == "unread":
            (tmp_path / "train" / name / "1.jfif").write_bytes(content)
    (tmp_path / "train").mkdir(exist_ok=True)
    if kind == "deep":
        (tmp_path / "train/1.png").write_bytes(content)
    reason = {
        "none": "it has no class folder",
        "empty": "has no image in its 2 class folders: ant holds no image that is read",
        "deep": "it has no class folder, and 1 images outside of any; data_prefix may be one folder too deep",
        "unread": "holds 1 .jfif file that the dataset skips; add '.jfif' to the dataset's extensions",
    }[kind]
    dataset = dict(type="CustomDataset", data_root=str(tmp_path), data_prefix="train", pipeline=[])
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(DataError, match=f"^nothing is left of .*train.*{reason}"):
        check_data(cfg, jobs=1).require_samples()
    make_strict(cfg)
    with pytest.raises(DataError, match=reason):
        mmpretrain.CustomDataset(data_root=str(tmp_path), data_prefix="train")


def test_a_training_with_nothing_left_ends_with_one_sentence_and_status_2(cells, run_tool, monkeypatch, capsys):
    rename(cells, str.lower)
    config = "configs/bccd/faster-rcnn_r18_fpn_bccd.py"
    # There is no backbone.pth here, which is reported before the data are read.
    ended = run_tool("tools/train.py", config, "--no-preflight", SMIX_BCCD=cells.root, check=False)
    monkeypatch.setenv("SMIX_BCCD", str(cells.root))
    monkeypatch.chdir(ROOT)
    assert (ended.returncode, run("check_data", [config])) == (2, 2) and "Traceback" not in ended.stdout
    for text in (ended.stdout, capsys.readouterr().err):
        assert "nothing is left of " in text.splitlines()[-1]
