"""COCO files: checked, cleaned and loaded strictly like VOC annotations, and labels with the names of their classes."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("defusedxml")

from mmengine.config import Config

from smix_mm.datasets.check import check_data, write_clean_copy
from smix_mm.datasets.check.coco import read_objects
from smix_mm.datasets.check.splits import find_splits
from smix_mm.datasets.convert import convert_data
from smix_mm.preflight import preflight
from smix_mm.utils.errors import DataError
from smix_mm.utils.files import file_hash

CLASSES = ("Platelets", "RBC", "WBC")


class Coco:
    """The twelve images of ``cells`` in COCO format, with nothing wrong until a test damages them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, part: str = "trainval") -> Path:
        return self.root / f"annotations/instances_{part}.json"

    def read(self, part: str = "trainval") -> dict:
        return json.loads(self.file(part).read_text())

    def write(self, content: dict, part: str = "trainval") -> None:
        self.file(part).write_text(json.dumps(content))

    def dataset(self, part: str, classes=CLASSES, root: Path | None = None, **settings) -> dict:
        inner = dict(
            type="CocoDataset",
            data_root=str(root or self.root),
            ann_file=f"annotations/instances_{part}.json",
            data_prefix=dict(img=f"images/{part}/"),
            metainfo=dict(classes=classes),
            pipeline=[],
        )
        return {**inner, **settings}

    def config(self, classes=CLASSES, root: Path | None = None, **settings) -> Config:
        train, test = (self.dataset(part, classes, root, **settings) for part in ("trainval", "test"))
        wrapped = dict(type="RepeatDataset", times=2, dataset=train)
        loaders = dict(train=wrapped, val=test, test=test)
        content = {f"{part}_dataloader": dict(dataset=dataset) for part, dataset in loaders.items()}
        return Config(dict(content, default_scope="mmdet"))


@pytest.fixture
def coco(cells, tmp_path) -> Coco:
    convert_data(cells.root, tmp_path / "coco", "coco", copy=True)
    return Coco(tmp_path / "coco")


def found(checked) -> list[tuple[str, str]]:
    return [(finding.kind, Path(finding.file).name) for finding in checked.report.findings]


def built(settings: dict):
    mmdet = pytest.importorskip("mmdet.datasets")
    dataset = mmdet.CocoDataset(**{name: value for name, value in settings.items() if name != "type"})
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def test_good_data_have_no_finding_and_the_counts_of_the_voc_annotations(coco, cells):
    checked = check_data(coco.config(), jobs=1, decode=True)
    expected = check_data(cells.config(), jobs=1).report
    assert checked.report.findings == []
    assert (checked.report.images, checked.report.boxes) == (expected.images, expected.boxes)
    checked.require_samples()


def damage(coco: Coco) -> dict[str, set[str]]:
    """Do to the training set what the findings are named after; the kinds and the beginnings of their details."""
    content = coco.read()
    images, annotations = content["images"], content["annotations"]
    names = [image["file_name"] for image in images]
    of = [[one for one in annotations if one["image_id"] == image["id"]] for image in images]
    jpg = [coco.root / "images/trainval" / name for name in names]
    jpg[1].write_bytes(jpg[1].read_bytes()[:9000])
    jpg[2].unlink()
    jpg[3].write_text("no image")
    images[4]["width"] = 480
    del images[5]["height"]
    first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth, *_ = of[0]
    first["bbox"][2:] = [0.5, 10]
    second["bbox"] = [600, 10, 100, 50]
    second["area"] = 5000
    third["bbox"] = [700, 10, 10, 10]
    fourth["bbox"][0] = float("nan")
    fifth["category_id"] = 99
    del sixth["area"]
    seventh["area"] = 0
    eighth["id"] = ninth["id"]
    tenth["iscrowd"] = "0"
    of[6][0]["image_id"] = 999
    content["categories"].append(dict(id=7, name="rbc"))
    of[6][1]["category_id"] = 7
    images.append(dict(images[8], id=50))  # the same file with another id and no annotation
    images.append(dict(images[9], file_name="other.jpg"))  # another file with the same id
    images.append(dict(id=77))
    coco.write(content)
    return {
        "truncated-image": {names[1]},
        "missing-image": {names[2]},
        "unreadable-image": {names[3]},
        "size-differs": {f"{names[4]}: is stated as 480x480, but is 640x480"},
        "missing-field": {
            f"{names[5]}: the size has no height",
            f"{names[0]}: annotation {sixth['id']} ",
            "images[12] ",
        },
        "box-without-area": {f"{names[0]}: annotation {first['id']} ", f"{names[0]}: annotation {seventh['id']} "},
        "box-outside": {f"{names[0]}: annotation {second['id']} ", f"{names[0]}: annotation {third['id']} "},
        "not-a-number": {f"{names[0]}: annotation {fourth['id']} ", f"{names[0]}: annotation {tenth['id']} "},
        "unknown-class": {
            f"{names[0]}: annotation {fifth['id']} has the category_id 99, which the file does not list",
            f"{names[6]}: annotation {of[6][1]['id']} is 'rbc', but the config has 'RBC'",
        },
        "duplicate-id": {
            f"annotation {ninth['id']}: ",
            f"2 images have the id {images[9]['id']}: {names[9]} and other.",
        },
        "unlisted-image": {f"annotation {of[6][0]['id']} has the image_id 999"},
        "repeated-name": {f"names '{names[8]}' again"},
        "no-boxes": {f"{names[8]}: has no usable box"},
    }


def test_every_damage_is_found_and_the_cleaned_copy_passes_and_is_read_by_mmdetection(coco, tmp_path):
    expected = damage(coco)
    before = {path: file_hash(path) for path in coco.root.rglob("*") if path.is_file()}
    checked = check_data(coco.config(), jobs=1)
    details: dict[str, set[str]] = {}
    for one in checked.report.findings:
        is_image = one.kind in ("truncated-image", "missing-image", "unreadable-image")
        details.setdefault(one.kind, set()).add(Path(one.file).name if is_image else one.detail)
        assert is_image or one.file == str(coco.file())
    assert details.keys() == expected.keys()
    for kind, begins in expected.items():
        assert len(details[kind]) == len(begins), (kind, details[kind])
        assert all(any(detail.startswith(one) for detail in details[kind]) for one in begins), (kind, details[kind])

    clean = tmp_path / "clean"
    changes = write_clean_copy(checked, clean)
    assert {path: file_hash(path) for path in before} == before
    assert changes == {
        "sample left out": 3, "size corrected": 2, "object dropped": 5, "box clipped": 1, "area computed": 2,
        "field removed": 1, "id changed": 1, "images left out": 2, "annotation left out": 1,
    }  # fmt: skip
    assert len(json.loads((clean / "left_out.json").read_text())) == sum(changes.values())
    again = check_data(coco.config(root=clean), jobs=1)
    assert found(again) == [("repeated-name", "instances_trainval.json"), ("no-boxes", "instances_trainval.json")]
    infos = built(coco.dataset("trainval", root=clean))
    boxes = [one["bbox"] for info in infos for one in info["instances"]]
    assert len(infos) == 7 and len(boxes) == again.report.boxes["train"]
    assert [600, 10, 640, 60] in boxes


def test_mmdetection_reads_exactly_the_boxes_that_the_check_accepts_or_cleans(coco, tmp_path):
    mmdet = pytest.importorskip("mmdet.datasets")
    random = np.random.RandomState(0)
    numbers = [-5, -0.3, 0, 0.5, 1, 10, 10.25, 63.9, 300, 479.7, 639, 640, 640.3, 1e9, 1e308]
    wrong = [None, "10", True, [], float("nan"), float("inf"), -float("inf")]

    def draw(values, odd=wrong, share=0.02):
        pool = odd if random.rand() < share else values
        return pool[random.randint(len(pool))]

    content = coco.read()
    content["annotations"] = []
    for number in range(2000):
        entry = dict(
            id=draw([number], [1, None, "a", [1]]),
            image_id=draw([image["id"] for image in content["images"]], [999, None, {}]),
            category_id=draw([1, 2, 3], [0, 4, None, "1", [1]]),
            bbox=[draw(numbers) for _ in range(draw([4], [0, 3, 5]))],
            area=draw([1, 20.5, 1e5], [*wrong, 0, -1]),
            iscrowd=draw([0, 1], ["0", None, 2]),
            ignore=draw([0], [1, True]),
        )
        for name in list(entry):
            if random.rand() < 0.01:
                del entry[name]
        content["annotations"].append(entry)
    coco.write(content)
    checked = check_data(coco.config(), jobs=1)
    write_clean_copy(checked, tmp_path / "clean")
    dataset = mmdet.CocoDataset(
        **{name: value for name, value in coco.dataset("trainval", root=tmp_path / "clean").items() if name != "type"}
    )
    total = 0
    for sample, index in zip(checked.listings[0].samples, range(len(dataset))):
        info, accepted = dataset.get_data_info(index), read_objects(sample, CLASSES, size=(640, 480))
        assert Path(info["img_path"]).name == sample.name
        found = info["instances"]
        assert [CLASSES[one["bbox_label"]] for one in found] == accepted.labels
        assert [bool(one["ignore_flag"]) for one in found] == accepted.difficult
        assert [tuple(one["bbox"]) for one in found] == [pytest.approx(box) for box in accepted.boxes]
        total += len(found)
    assert 300 < total < 1900 and total == checked.report.boxes["train"]
    assert not check_data(coco.config(root=tmp_path / "clean"), jobs=1).report.failed


def test_a_file_without_errors_keeps_its_other_fields_in_the_copy(coco, tmp_path):
    content = dict(coco.read(), info=dict(year=2024))
    content["annotations"][0].update(segmentation=[[1, 2, 3, 4, 5, 6]], iscrowd=1)
    content["annotations"][1].update(bbox=[0, -0.01, 640.01, 480.02])  # official boxes are rounded so
    content["annotations"][2].update(bbox=[0, 0, 0, 0], ignore=1)
    coco.write(content)
    checked = check_data(coco.config(), jobs=1)
    assert checked.report.findings == [] and write_clean_copy(checked, tmp_path / "clean") == {}
    assert json.loads((tmp_path / "clean/annotations/instances_trainval.json").read_text()) == content


def test_crowds_are_ignored_as_in_mmdetection(coco):
    content = coco.read()
    for one in content["annotations"]:
        one["iscrowd"] = 1
    coco.write(content)
    assert {one["ignore_flag"] for info in built(coco.dataset("trainval")) for one in info["instances"]} == {1}
    number = len(content["annotations"])
    with pytest.raises(DataError, match=f"with 10 images: {number} objects are difficult"):
        check_data(coco.config(), jobs=1).require_samples()


@pytest.mark.parametrize(
    "change, kind, detail",
    [
        (lambda text: codecs.BOM_UTF8 + text, "byte-order-mark", "begins with a byte order mark"),
        (lambda text: text.decode().encode("utf-16"), "wrong-encoding", "is text in UTF-16, expected UTF-8"),
        (lambda text: text.replace(b'"RBC"', b'"RBC\xe9"'), "wrong-encoding", "is not text in UTF-8"),
        (lambda text: text[:500], "malformed-json", "is not JSON"),
        (lambda text: b"[" * 100_000, "malformed-json", "is not JSON"),
        (
            lambda text: b"[1]",
            "malformed-json",
            "should be an object with images, annotations and categories, got list",
        ),
        (
            lambda text: text.replace(b'"images"', b'"pictures"'),
            "malformed-json",
            "a list of objects 'images', got null",
        ),
        (lambda text: text.replace(b'"WBC"', b'"RBC"'), "malformed-json", "has two categories with the id or the name"),
        (lambda text: b'{"images": [], "categories": []}', "empty-split", "names no image"),
        (None, "missing-split", "does not exist"),
    ],
)
def test_a_file_that_mmdetection_cannot_read_is_named_by_the_check_and_by_a_training(
    coco, tmp_path, change, kind, detail
):
    from smix_mm.datasets.check.strict import make_strict

    content = coco.file().read_bytes()
    coco.file().unlink() if change is None else coco.file().write_bytes(change(content))
    checked = check_data(coco.config(), jobs=1)
    (finding,) = [one for one in checked.report.findings if one.kind == kind]
    assert detail in finding.detail and checked.report.failed
    with pytest.raises(DataError, match=f"instances_trainval.json: {kind}: |: category-order: .*1 × {kind}"):
        make_strict(coco.config())
    if kind == "byte-order-mark":
        assert write_clean_copy(checked, tmp_path / "clean") == {"byte order mark removed": 1}
        assert (tmp_path / "clean/annotations/instances_trainval.json").read_bytes() == content
    else:
        with pytest.raises(DataError, match=f"{detail[:20]}.*which a cleaned copy cannot fix"):
            write_clean_copy(checked, tmp_path / "clean")


def test_mmdetection_numbers_labels_in_the_order_of_the_file_so_that_names_would_be_swapped(coco):
    """Neither the order of the config's classes nor that of the ids counts."""
    api = pytest.importorskip("mmdet.datasets.api_wrappers")
    content = coco.read()
    content["categories"] = [dict(id=3, name="WBC"), dict(id=1, name="Platelets"), dict(id=2, name="RBC")]
    coco.write(content)
    assert api.COCO(str(coco.file())).get_cat_ids(cat_names=list(CLASSES)) == [3, 1, 2]
    platelets = [one["id"] for one in content["annotations"] if one["category_id"] == 1]
    infos = built(coco.dataset("trainval", classes=("WBC", "Platelets", "RBC")))
    labels = [one["bbox_label"] for info in infos for one in info["instances"]]
    assert labels.count(1) == len(platelets) > 0


@pytest.mark.parametrize("part", ["trainval", "test"])
def test_categories_in_another_order_than_the_classes_are_refused_everywhere_and_fixed_in_the_copy(
    coco, tmp_path, part
):
    from smix_mm.datasets.check.strict import make_strict

    before = built(coco.dataset(part))
    content = coco.read(part)
    content["categories"].reverse()
    coco.write(content, part)
    reason = (
        rf"instances_{part}.json.* lists its categories in the order WBC, RBC, Platelets, .* are Platelets, RBC, WBC"
    )
    with pytest.raises(DataError, match=reason):
        make_strict(coco.config())
    with pytest.raises(DataError, match=reason):
        built(coco.dataset(part))
    (finding,) = [one for one in preflight(coco.config()) if "categories" in one.problem]
    assert (
        finding.level == "contradiction" and "rewrite the file: python tools/check_data.py CONFIG --fix" in finding.fix
    )
    checked = check_data(coco.config(), jobs=1)
    assert found(checked) == [("category-order", f"instances_{part}.json")]
    assert write_clean_copy(checked, tmp_path / "clean") == {"categories put in order": 1}
    make_strict(coco.config(root=tmp_path / "clean"))
    after = built(coco.dataset(part, root=tmp_path / "clean"))
    assert [info["instances"] for info in after] == [info["instances"] for info in before]
    assert [one for one in preflight(coco.config(root=tmp_path / "clean")) if "categories" in one.problem] == []


def test_a_class_that_a_file_lacks_would_shift_labels_and_is_added_in_the_copy(coco, tmp_path):
    content = coco.read("test")
    content["categories"] = [dict(id=2, name="RBC"), dict(id=3, name="WBC"), dict(id=9, name="other")]
    content["annotations"] = [one for one in content["annotations"] if one["category_id"] != 1]
    coco.write(content, "test")
    checked = check_data(coco.config(), jobs=1)
    assert found(checked) == [("category-order", "instances_test.json")]
    write_clean_copy(checked, tmp_path / "clean")
    assert json.loads((tmp_path / "clean/annotations/instances_test.json").read_text())["categories"] == [
        dict(id=10, name="Platelets"), *content["categories"]
    ]  # fmt: skip
    infos = built(coco.dataset("test", root=tmp_path / "clean"))
    assert {one["bbox_label"] for info in infos for one in info["instances"]} == {1, 2}


def test_classes_that_a_config_does_not_name_are_those_of_coco(coco):
    pytest.importorskip("mmdet")
    settings = coco.dataset("test", metainfo=dict())
    (split,) = find_splits(dict(test_dataloader=dict(dataset=settings)))
    assert len(split.classes) == 80 and split.classes[0] == "person"


def test_strict_loading_leaves_good_data_as_they_are_and_notes_what_is_left_out(coco):
    from smix_mm.datasets.check.strict import make_strict

    assert make_strict(coco.config()) == []
    content = coco.read()
    content["annotations"][0]["bbox"] = [10, 10, 0, 0]
    content["annotations"][1]["image_id"] = 999
    coco.write(content)
    (note,) = make_strict(coco.config())
    assert "1 × unlisted-image (" in note and "1 × box-without-area (" in note
    content["annotations"][2]["id"] = content["annotations"][3]["id"]
    coco.write(content)
    with pytest.raises(DataError, match="instances_trainval.json: duplicate-id: annotation .*: its id is used before"):
        make_strict(coco.config())


def test_a_training_image_that_is_in_the_test_file_too_is_found(coco, tmp_path):
    name = coco.read("test")["images"][0]["file_name"]
    other = coco.read()["images"][0]["file_name"]
    content = (coco.root / f"images/test/{name}").read_bytes()
    (coco.root / f"images/trainval/{other}").write_bytes(content)
    checked = check_data(coco.config(), jobs=1)
    assert found(checked) == [("in-train-and-test", other)]
    assert write_clean_copy(checked, tmp_path / "clean") == {"sample left out": 1}
    assert len(built(coco.dataset("trainval", root=tmp_path / "clean"))) == 9


def test_detections_on_coco_data_are_evaluated_and_drawn(coco, tmp_path):
    mmdet = pytest.importorskip("mmdet.datasets")
    from mmdet.utils import register_all_modules

    from smix_mm.evaluation import read_detections
    from smix_mm.evaluation.metric import DetectionMetric
    from smix_mm.visualization.compare_detections import compare_detections

    register_all_modules()
    content = coco.read("test")
    content["annotations"][0]["iscrowd"] = 1
    coco.write(content, "test")
    steps = ["LoadImageFromFile", "LoadAnnotations", "PackDetInputs"]
    pipeline = [dict(type=step, **(dict(with_bbox=True) if step == "LoadAnnotations" else {})) for step in steps]
    pipeline[-1]["meta_keys"] = ("img_id", "img_path", "ori_shape", "img_shape")
    settings = coco.dataset("test", pipeline=pipeline, test_mode=True)
    dataset = mmdet.CocoDataset(**{name: value for name, value in settings.items() if name != "type"})
    metric = DetectionMetric(out=tmp_path / "detections.npz")
    metric.dataset_meta = dataset.metainfo
    samples = []
    for index in range(len(dataset)):
        sample = dataset[index]["data_samples"].to_dict()
        objects = sample["gt_instances"]
        scores = np.linspace(1, 0.5, len(objects["labels"]), dtype=np.float32)
        sample["pred_instances"] = dict(bboxes=objects["bboxes"], labels=objects["labels"], scores=scores)
        samples.append(sample)
    metric.process(None, samples)
    figures = metric.evaluate(len(dataset))
    assert figures["voc/mAP_area"] == figures["coco/mAP"] == 1
    stored = read_detections(tmp_path / "detections.npz")
    assert stored.difficult.sum() == 1 and len(stored.difficult) == len(content["annotations"])
    assert list(stored.images) == ["1", "2"]
    config = tmp_path / "config.py"
    config.write_text(f"test_dataloader = dict(dataset={settings!r})\n")
    drawn = compare_detections(config, {"one": tmp_path / "detections.npz"}, tmp_path / "drawn.png", images=["2"])
    assert drawn.stat().st_size > 10_000
