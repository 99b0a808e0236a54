"""DetectionMetric, as mmengine calls it."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from smix_mm.evaluation import Detections, evaluate, read_detections, recompute
from smix_mm.utils.errors import DataError

pytest.importorskip("mmengine")
torch = pytest.importorskip("torch")


def samples(detections: Detections) -> list[dict]:
    """What MMDetection hands a metric for each image."""
    made = []
    for image, name in enumerate(detections.images):
        mine, there = detections.image_of == image, detections.true_image_of == image
        sides = [
            dict(
                bboxes=torch.from_numpy(detections.true_boxes[there & chosen]),
                labels=torch.from_numpy(detections.true_labels[there & chosen].astype(np.int64)),
            )
            for chosen in (~detections.difficult, detections.difficult)
        ]
        found = dict(
            bboxes=torch.from_numpy(detections.boxes[mine]),
            scores=torch.from_numpy(detections.scores[mine]),
            labels=torch.from_numpy(detections.labels[mine].astype(np.int64)),
        )
        made.append(dict(img_id=str(name), pred_instances=found, gt_instances=sides[0], ignored_instances=sides[1]))
    return made


SIDES = ("gt_instances", "ignored_instances")


def built(classes, **settings):
    from mmengine.registry import METRICS

    import smix_mm.evaluation.metric  # noqa: F401

    metric = METRICS.build(dict(type="DetectionMetric", **settings))
    metric.dataset_meta = dict(classes=classes)
    return metric


def test_batches_give_the_figures_and_the_file(detections, tmp_path):
    metric = built(detections.classes, out=str(tmp_path / "detections.npz"))
    given = samples(detections)
    for start in range(0, len(given), 7):
        metric.process({}, given[start : start + 7])
    figures = metric.evaluate(len(given))
    # Objects come in another order, the difficult ones of an image last, which changes nothing.
    assert figures == evaluate(detections)
    assert recompute(tmp_path / "detections.npz") == figures
    kept = read_detections(tmp_path / "detections.npz")
    assert kept.images.tolist() == detections.images.tolist()
    assert kept.difficult.sum() == detections.difficult.sum()
    assert all(isinstance(value, float) for value in figures.values())


def test_boxes_of_mmdetection_and_a_dataset_without_difficult_objects_are_taken(few_detections):
    boxes = pytest.importorskip("mmdet.structures.bbox")
    metric = built(few_detections.classes)
    given = samples(few_detections)
    for sample in given:
        sample["gt_instances"]["bboxes"] = boxes.HorizontalBoxes(sample["gt_instances"]["bboxes"])
        sample["ignored_instances"] = {}
    metric.process({}, given)
    figures = metric.evaluate(len(given))
    assert 0 < figures["voc/mAP_11point"] < 1
    assert {name.split("/")[0] for name in figures} == {"voc", "coco"}


@pytest.fixture(scope="module")
def voc_samples(smix_data) -> tuple[dict, list]:
    """The small VOC's test set through MMDetection's own dataset and pipeline, with predictions near the objects."""
    datasets, structures = pytest.importorskip("mmdet.datasets"), pytest.importorskip("mmengine.structures")
    dataset = datasets.VOCDataset(
        data_root=str(smix_data / "VOCdevkit/"),
        ann_file="VOC2007/ImageSets/Main/test.txt",
        data_prefix=dict(sub_data_root="VOC2007/"),
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="mmdet.Resize", scale=(80, 60), keep_ratio=True),
            dict(type="mmdet.LoadAnnotations", with_bbox=True),
            dict(type="mmdet.PackDetInputs", meta_keys=("img_id",)),
        ],
    )
    generator = torch.Generator().manual_seed(0)
    made = []
    for item in dataset:
        sample = item["data_samples"]
        sides = (sample.gt_instances, sample.ignored_instances)
        boxes = torch.cat([side.bboxes.tensor for side in sides]).repeat(2, 1)
        boxes = boxes * (1 + 0.1 * torch.randn(boxes.shape, generator=generator))
        sample.pred_instances = structures.InstanceData(
            bboxes=boxes,
            scores=torch.rand(len(boxes), generator=generator),
            labels=torch.cat([side.labels for side in sides]).repeat(2),
        )
        made.append(sample)
    return dataset.metainfo, made


@pytest.mark.parametrize("mode, figure", [("11points", "voc/mAP_11point"), ("area", "voc/mAP_area")])
def test_mmdetections_own_metric_agrees_on_the_same_samples(voc_samples, mode, figure, mmdet_evaluation, tmp_path):
    from mmengine.evaluator import Evaluator

    metainfo, given = voc_samples
    evaluator = Evaluator([mmdet_evaluation.VOCMetric(eval_mode=mode), built([], out=tmp_path / "detections.npz")])
    evaluator.dataset_meta = metainfo
    for start in range(0, len(given), 8):
        evaluator.process(data_samples=given[start : start + 8])
    figures = evaluator.evaluate(len(given))
    assert figures[figure] == pytest.approx(figures["pascal_voc/mAP"], abs=1e-6)
    assert 0.1 < figures[figure] < 0.9
    kept = read_detections(tmp_path / "detections.npz")
    assert len(kept.images) == 100
    assert kept.difficult.any()


@pytest.mark.parametrize("scale", [0.4, 2.5, (1.5, 0.75)])
def test_objects_in_the_resized_image_are_refused_and_in_the_original_one_are_compared(detections, scale, tmp_path):
    factors = torch.tensor(scale if isinstance(scale, tuple) else (scale, scale)).repeat(2)
    given = [dict(sample, scale_factor=tuple(factors[:2].tolist())) for sample in samples(detections)]
    metric = built(detections.classes, out=tmp_path / "detections.npz")
    metric.process({}, given)
    assert metric.evaluate(len(given)) == evaluate(detections)
    (tmp_path / "detections.npz").unlink()
    for sample in given:
        sides = {side: dict(sample[side], bboxes=sample[side]["bboxes"] * factors) for side in SIDES}
        metric.process({}, [dict(sample, **sides)])
    with pytest.raises(DataError, match="should be in pixels of the original images, .*LoadAnnotations after Resize"):
        metric.evaluate(len(given))
    assert not (tmp_path / "detections.npz").exists()


@pytest.mark.parametrize("missing", ["img_id", "gt_instances", "pred_instances"])
def test_a_sample_that_lacks_something_says_how_to_mend_it(few_detections, missing):
    sample = samples(few_detections)[0]
    del sample[missing]
    with pytest.raises(DataError, match=f"a sample has no {missing}; "):
        built(few_detections.classes).process({}, [sample])


def test_a_file_of_another_kind_is_not_written(few_detections):
    with pytest.raises(DataError, match="out should end in .npz"):
        built(few_detections.classes, out="predictions.pkl")


RANK = """
import json, sys
import torch
import torch.distributed as dist
for name in ("mmpretrain", "mmdet"):
    sys.modules[name] = None  # not needed, and slow to import
import smix_mm.evaluation.metric
from mmengine.registry import METRICS

rank, world = int(sys.argv[4]), 2
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}.meeting", rank=rank, world_size=world)
classes, samples = torch.load(sys.argv[1], weights_only=True)
metric = METRICS.build(dict(type="DetectionMetric", out=sys.argv[2], collect_dir=sys.argv[3]))
metric.dataset_meta = dict(classes=classes)
# As DefaultSampler does: every rank has equally many, so the last ones wrap round to the first.
each = -(-len(samples) // world)
metric.process({}, [samples[(rank + world * place) % len(samples)] for place in range(each)])
figures = metric.evaluate(len(samples))
json.dump(figures, open(f"{sys.argv[2]}.{rank}.json", "w"))
dist.destroy_process_group()
"""


def test_two_processes_give_the_figures_of_one(few_detections, tmp_path, run_tool):
    given = samples(few_detections)[:11]
    metric = built(few_detections.classes, out=str(tmp_path / "one.npz"))
    metric.process({}, given)
    alone = metric.evaluate(11)
    (tmp_path / "rank.py").write_text(RANK)
    torch.save((list(few_detections.classes), given), tmp_path / "samples.pth")
    arguments = [tmp_path / name for name in ("rank.py", "samples.pth", "two.npz", "collected")]
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda rank: run_tool(sys.executable, *arguments, rank, OMP_NUM_THREADS=1), (0, 1)))
    for rank in (0, 1):
        assert json.loads((tmp_path / f"two.npz.{rank}.json").read_text()) == alone
    assert (tmp_path / "two.npz").read_bytes() == (tmp_path / "one.npz").read_bytes()
