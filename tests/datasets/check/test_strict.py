"""Training on unchecked data: bad boxes are left out with one warning; the rest stops it and is named."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmcv")
pytest.importorskip("defusedxml")

from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from smix_mm.datasets.check.strict import SanitizeBoxes, StrictLoadImage, make_strict
from smix_mm.utils.config import read_config
from smix_mm.utils.errors import DataError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def detector(cells) -> Config:
    """The demo's detector, to be trained on these images."""
    cfg = read_config(ROOT / "configs/demo/detector.py")
    for part, split in (("train", "trainval"), ("test", "test")):
        dataset = cfg[f"{part}_dataloader"].dataset
        dataset.ann_file = f"ImageSets/Main/{split}.txt"
        dataset.update(data_root=str(cells.root), metainfo=dict(classes=("RBC", "WBC", "Platelets")))
        dataset.pop("filter_cfg", None)
    cfg.train_dataloader.update(batch_size=2, persistent_workers=False)
    cfg.merge_from_dict(
        {
            "model.bbox_head.num_classes": 3,
            "model.backbone.init_cfg": None,
            "train_cfg.max_epochs": 1,
            "default_hooks.logger.interval": 1,
        }
    )
    cfg.custom_hooks = []
    return cfg


def types(pipeline) -> list[str]:
    return [step["type"] for step in pipeline]


def test_the_config_gets_strict_transforms_once_and_boxes_are_fixed_in_training_alone(detector):
    for _ in range(2):
        make_strict(detector, parts=("train", "test"))
    expected = ["StrictLoadImage", "SanitizeBoxes", "LoadAnnotations", "Resize", "PackDetInputs"]
    assert types(detector.train_dataloader.dataset.pipeline) == expected
    assert types(detector.test_dataloader.dataset.pipeline)[:2] == ["StrictLoadImage", "Resize"]


def test_datasets_inside_wrappers_and_transforms_given_as_classes_are_made_strict_too(cells):
    step = dict(type=LoadImageFromFile, to_float32=True)
    inner = dict(type="SomeDataset", pipeline=[step])
    cfg = Config(dict(train_dataloader=dict(dataset=dict(dataset=dict(datasets=[inner]), pipeline=[]))))
    make_strict(cfg)
    (found,) = cfg.train_dataloader.dataset.dataset.datasets[0].pipeline
    assert found == dict(type="StrictLoadImage", to_float32=True)


@pytest.mark.parametrize("metric, refused", [("DetectionMetric", 1), ("mmdet.VOCMetric", 1), ("CocoMetric", 0)])
def test_a_test_pipeline_that_resizes_the_boxes_to_compare_with_is_refused(detector, metric, refused):
    detector.test_evaluator = [dict(type=metric)]
    load, resize, annotations, *rest = detector.test_dataloader.dataset.pipeline
    detector.test_dataloader.dataset.pipeline = [load, annotations, resize, *rest]
    if refused:
        with pytest.raises(DataError, match="test_dataloader should load annotations after Resize, got Load"):
            make_strict(detector, parts=("test",))
    else:
        make_strict(detector, parts=("test",))


DEFECTS = {
    "missing-annotation": lambda path: path.unlink(),
    "malformed-xml": lambda path: path.write_text(path.read_text()[:200]),
    "hostile-xml": lambda path: path.write_text('<!DOCTYPE a [<!ENTITY x "y">]>' + path.read_text()),
    "missing-field": lambda path: path.write_text(
        path.read_text().replace("<ymax>", "<ymaxx>").replace("</ymax>", "</ymaxx>")
    ),
    "not-a-number": lambda path: path.write_text(path.read_text().replace("<xmin>", "<xmin>nan")),
}


@pytest.mark.parametrize("kind", DEFECTS)
def test_an_annotation_that_cannot_be_read_raises_an_error_that_names_it(detector, cells, kind):
    path = cells.xml(2)
    DEFECTS[kind](path)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {kind}: .*check_data.py CONFIG lists everything"):
        make_strict(detector)


@pytest.mark.parametrize("content, kind", [("", "empty-split"), ("\n", "bad-line"), (None, "missing-split")])
def test_a_split_file_that_cannot_be_used_raises_an_error_that_names_it(detector, cells, content, kind):
    path = cells.trainval
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {kind}: "):
        make_strict(detector)


def test_what_is_left_out_is_in_one_warning(detector, cells):
    assert make_strict(detector) == []
    cells.change(0, "<name>RBC</name>", "<name>rbc</name>")
    cells.change(1, "<xmax>", "<xmax>9")
    (note,) = make_strict(detector)
    assert re.search(r": 1 × unknown-class \(\S+01.xml\); 1 × box-outside \(\S+02.xml\); python tools/check_data", note)


@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(to_float32=True, color_type="grayscale"),
        dict(imdecode_backend="pillow"),
        dict(file_client_args=dict(backend="disk")),
    ],
)
def test_a_whole_image_is_loaded_exactly_as_mmcv_loads_it(cells, settings):
    path = str(cells.jpg(0))
    ours, theirs = (load(**settings).transform(dict(img_path=path)) for load in (StrictLoadImage, LoadImageFromFile))
    assert ours.keys() == theirs.keys() and ours["img"].dtype == theirs["img"].dtype
    assert np.array_equal(ours["img"], theirs["img"]) and ours["ori_shape"] == theirs["ori_shape"]


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "is not an image"),
        (b"text", "is not an image"),
        (None, "does not exist"),
        ("half", "is truncated: it ends after 11"),
        (".", "cannot be"),
    ],
)
@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_a_bad_image_raises_an_error_that_names_it_unless_the_config_skips_it(cells, content, reason, backend):
    path = cells.jpg(1)
    half = path.read_bytes()[:11000]
    path.unlink()
    if content == ".":
        path.mkdir()
    elif content is not None:
        path.write_bytes(half if content == "half" else content)
    with pytest.raises(DataError, match=f"^image {re.escape(str(path))} {reason}.*; python tools/check_data.py "):
        StrictLoadImage(imdecode_backend=backend).transform(dict(img_path=str(path)))
    assert StrictLoadImage(ignore_empty=True).transform(dict(img_path=str(path))) is None


def test_boxes_are_removed_or_clipped_by_the_size_of_the_image():
    boxes = [
        [0, 0, 64, 48],
        [5, 5, 5, 9],
        [9, 5, 5, 9],
        [64, 0, 70, 9],
        [-9, 0, 0, 9],
        [-1, -1, 9, 9],
        [60, 40, 70, 50],
    ]
    results = dict(img_shape=(48, 64), instances=[dict(bbox=box, bbox_label=n) for n, box in enumerate(boxes)])
    fixed = SanitizeBoxes().transform(results)["instances"]
    assert [(one["bbox_label"], one["bbox"]) for one in fixed] == [
        (0, [0, 0, 64, 48]), (5, [0, 0, 9, 9]), (6, [60, 40, 64, 48])
    ]  # fmt: skip


def test_a_bad_image_stops_classification_by_name_from_inside_a_data_worker(cells, tmp_path):
    pytest.importorskip("mmpretrain")
    from mmpretrain.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    path = cells.jpg(3)
    path.write_bytes(path.read_bytes()[:5000])
    dataset = dict(
        type="CustomDataset", data_root=str(cells.root), with_label=False, pipeline=[dict(type="LoadImageFromFile")]
    )
    loader = dict(batch_size=1, num_workers=1, dataset=dataset, sampler=dict(type="DefaultSampler", shuffle=False))
    cfg = Config(dict(train_dataloader=loader, default_scope="mmpretrain"))
    make_strict(cfg)
    init_default_scope("mmpretrain")
    with pytest.raises(DataError, match=f"image {re.escape(str(path))} is truncated: it ends after 5000 bytes"):
        list(Runner.build_dataloader(cfg.train_dataloader))


def test_good_data_come_out_of_a_strict_pipeline_as_they_were(detector):
    from mmdet.utils import register_all_modules
    from mmengine.registry import DATASETS

    register_all_modules(init_default_scope=False)
    init_default_scope("mmdet")
    plain = DATASETS.build(detector.train_dataloader.dataset)
    make_strict(detector)
    strict = DATASETS.build(detector.train_dataloader.dataset)
    assert len(plain) == len(strict) == 10
    for ours, theirs in zip(strict, plain):
        assert ours["inputs"].equal(theirs["inputs"])
        one, other = ours["data_samples"].gt_instances, theirs["data_samples"].gt_instances
        assert one.bboxes.tensor.equal(other.bboxes.tensor) and one.labels.equal(other.labels) and len(one.labels)


TRAIN = """
import sys
from mmengine.runner import Runner
from smix_mm.utils.config import read_config
from smix_mm.datasets.check.strict import make_strict
cfg = read_config(sys.argv[1])
cfg.work_dir = sys.argv[2]
(note,) = make_strict(cfg, parts=("train", "test"))
runner = Runner.from_cfg(cfg)
runner.logger.warning(note)
runner.train()
"""


def test_a_detector_trains_on_what_is_left_with_one_warning(detector, cells, tmp_path, run_tool, losses):
    cells.change(0, "<name>RBC</name>", "<name>rbc</name>")
    cells.change(1, "<xmin>", "<xmin>9999")
    cells.change(2, "<width>640</width>", "<width>0</width>")
    box = (
        "<object><name>RBC</name><bndbox><xmin>700</xmin><ymin>5</ymin><xmax>800</xmax><ymax>9</ymax></bndbox></object>"
    )
    cells.change(3, "</annotation>", f"{box}</annotation>")
    cells.trainval.write_text("\n".join(cells.train[:4]))
    detector.dump(tmp_path / "detector.py")
    run = run_tool(sys.executable, "-c", TRAIN, tmp_path / "detector.py", tmp_path / "work", check=False)
    assert run.returncode == 0, run.stdout[-3000:]
    found = losses(run.stdout)
    assert len(found) == 2 and np.isfinite(found).all()
    (warning,) = (line for line in run.stdout.splitlines() if "WARNING" in line and str(cells.root) in line)
    kinds = re.findall(r"1 × ([a-z-]+) ", warning)
    assert sorted(kinds) == ["box-outside", "box-without-area", "size-differs", "unknown-class"]
