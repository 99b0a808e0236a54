"""The figures, against MMDetection, pycocotools and a few lines of plain code."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

from smix_mm.evaluation import Detections, evaluate, recompute
from smix_mm.evaluation.average_precision import DEFINITIONS, compare_classes, resample
from smix_mm.evaluation.matching import COCO_MOST, coco_overlaps, voc_overlaps
from smix_mm.utils.errors import DataError, UsageError


def test_voc_counts_the_outermost_pixels_and_coco_does_not():
    objects, halves = np.float32([[0, 0, 9, 9]]), np.float32([[0, 0, 4, 9]])
    assert voc_overlaps(halves, objects) == 0.5
    assert coco_overlaps(halves, objects, np.array([False])) == pytest.approx(4 / 9)


def make(found: list, there: list, classes: str = "ab", images: int = 2) -> Detections:
    """From (image, label, score, box) and (image, label, difficult, box)."""
    samples = [
        dict(
            image=image,
            boxes=[box for place, _, _, box in found if place == image],
            scores=[score for place, _, score, _ in found if place == image],
            labels=[label for place, label, _, _ in found if place == image],
            true_boxes=[box for place, _, _, box in there if place == image],
            true_labels=[label for place, label, _, _ in there if place == image],
            difficult=[flag for place, _, flag, _ in there if place == image],
        )
        for image in range(images)
    ]
    return Detections.stack(list(classes), samples)


HERE, THERE, NOWHERE = (0, 0, 99, 99), (100, 100, 199, 199), (300, 300, 320, 320)


def test_half_of_the_objects_found_first_gives_the_known_figures():
    figures = evaluate(make([(0, 0, 0.9, HERE), (1, 0, 0.8, NOWHERE)], [(0, 0, False, HERE), (1, 0, False, THERE)]))
    # Precision 1 up to recall 0.5: recalls 0 to 0.5 are 6 of 11, and 51 of 101.
    assert figures["voc/mAP_11point"] == pytest.approx(6 / 11)
    assert figures["voc/mAP_area"] == pytest.approx(0.5)
    assert [figures[name] for name in ("coco/mAP", "coco/AP50", "coco/AP75")] == pytest.approx([51 / 101] * 3)


def test_a_second_detection_of_an_object_is_wrong_and_one_of_a_difficult_object_does_not_count():
    there = [(0, 0, False, HERE), (0, 0, True, THERE), (1, 0, False, HERE)]
    found = [(0, 0, 0.9, HERE), (0, 0, 0.8, THERE), (0, 0, 0.75, THERE), (0, 0, 0.7, HERE), (1, 0, 0.6, HERE)]
    figures = evaluate(make(found, there))
    assert figures["voc/mAP_area"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["voc/mAP_11point"] == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert figures["coco/AP50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_class_without_objects_has_no_figure_and_does_not_lower_the_mean():
    figures = evaluate(make([(0, 0, 0.9, HERE), (1, 1, 0.8, HERE)], [(0, 0, False, HERE), (1, 1, True, HERE)]))
    assert figures["voc/mAP_11point"] == figures["voc/AP_11point/a"] == 1
    assert not any(name.endswith("/b") for name in figures)


def test_a_class_whose_objects_are_all_missed_counts_as_zero():
    figures = evaluate(make([(0, 0, 0.9, HERE)], [(0, 0, False, HERE), (1, 1, False, HERE)]))
    assert {figures[name] for name in DEFINITIONS} == {0.5}
    assert figures["coco/AP/b"] == 0


def test_a_detector_that_finds_nothing_has_zero():
    figures = evaluate(make([], [(0, 0, False, HERE)]))
    assert {figures[name] for name in DEFINITIONS} == {0}


def test_a_test_set_without_objects_is_refused():
    with pytest.raises(DataError, match="should have objects that are not difficult"):
        evaluate(make([(0, 0, 0.9, HERE)], [(0, 0, True, HERE)]))


def test_only_the_hundred_best_detections_of_an_image_and_class_count_for_coco():
    noise = [(0, 0, (0.8 if place < 50 else 0.2) + place / 1000, NOWHERE) for place in range(150)]
    there = [(1, 0, False, HERE)]
    for score, coco, voc in ((0.5, 1 / 51, 1 / 51), (0.1, 1 / 101, 1 / 151)):
        figures = evaluate(make([*noise, (1, 0, score, HERE)], there))
        assert figures["coco/AP50"] == pytest.approx(coco)
        assert figures["voc/mAP_area"] == pytest.approx(voc)
    # The object is found, but by none of the hundred.
    noise = [(0, 0, 0.5 + place / 1000, NOWHERE) for place in range(COCO_MOST)]
    assert evaluate(make([*noise, (0, 0, 0.1, HERE)], [(0, 0, False, HERE)]))["coco/AP50"] == 0


def plain_precision(detections: Detections, label: int, kind: str) -> float:
    """VOC's average precision of a class, in loops over plain numbers."""
    objects = [
        dict(image=image, box=box, difficult=difficult, found=False)
        for image, box, difficult, its in zip(
            detections.true_image_of, detections.true_boxes, detections.difficult, detections.true_labels
        )
        if its == label
    ]
    rows = [row for row in range(len(detections.scores)) if detections.labels[row] == label]
    true = false = 0
    points = []
    for row in sorted(rows, key=lambda row: -detections.scores[row]):
        best, nearest = 0.5, None
        for one in objects:
            if one["image"] == detections.image_of[row]:
                x1, y1, x2, y2 = map(float, detections.boxes[row])
                a1, b1, a2, b2 = map(float, one["box"])
                shared = max(0, min(x2, a2) - max(x1, a1) + 1) * max(0, min(y2, b2) - max(y1, b1) + 1)
                both = (x2 - x1 + 1) * (y2 - y1 + 1) + (a2 - a1 + 1) * (b2 - b1 + 1)
                if shared / (both - shared) >= best:
                    best, nearest = shared / (both - shared), one
        if nearest is not None and nearest["difficult"]:
            continue
        right = nearest is not None and not nearest["found"]
        true, false = true + right, false + (not right)
        if right:
            nearest["found"] = True
        points.append((true / sum(not one["difficult"] for one in objects), true / (true + false)))
    if kind == "11point":
        # In floats 0.1 * 3 is above 0.3, so that a recall of 3 in 10 does not reach it; MMDetection computes so.
        return sum(max([p for r, p in points if r >= 0.1 * place], default=0) for place in range(11)) / 11
    steps = zip([(0, 0), *points], points)
    return sum((r - before) * max(p for x, p in points if x >= r) for (before, _), (r, _) in steps)


@pytest.mark.parametrize("kind", ["11point", "area"])
def test_voc_figures_agree_with_plain_loops(detections, kind):
    figures = evaluate(detections)
    labels = sorted(set(detections.true_labels[~detections.difficult].tolist()))
    plain = [plain_precision(detections, label, kind) for label in labels]
    assert [figures[f"voc/AP_{kind}/{detections.classes[label]}"] for label in labels] == pytest.approx(plain)
    assert figures[f"voc/mAP_{kind}"] == pytest.approx(sum(plain) / len(plain))
    assert 0.1 < figures[f"voc/mAP_{kind}"] < 0.9


@pytest.mark.parametrize("kind", ["11point", "area"])
def test_voc_figures_agree_with_mmdetection(detections, kind, mmdet_evaluation):
    found, truth = [], []
    for image in range(len(detections.images)):
        mine, there = detections.image_of == image, detections.true_image_of == image
        rows = np.hstack([detections.boxes[mine], detections.scores[mine, None]])
        found.append([rows[detections.labels[mine] == label] for label in range(len(detections.classes))])
        counted, ignored = there & ~detections.difficult, there & detections.difficult
        truth.append(
            dict(
                bboxes=detections.true_boxes[counted],
                labels=detections.true_labels[counted],
                bboxes_ignore=detections.true_boxes[ignored],
                labels_ignore=detections.true_labels[ignored],
            )
        )
    mode = {"11point": "11points", "area": "area"}[kind]
    theirs, classes = mmdet_evaluation.eval_map(
        found, truth, iou_thr=0.5, logger="silent", nproc=1, use_legacy_coordinate=True, eval_mode=mode
    )
    figures = evaluate(detections)
    assert figures[f"voc/mAP_{kind}"] == pytest.approx(theirs, abs=1e-6)
    for name, entry in zip(detections.classes, classes):
        if entry["num_gts"]:
            assert figures[f"voc/AP_{kind}/{name}"] == pytest.approx(entry["ap"], abs=1e-6)


def test_coco_figures_agree_with_pycocotools(detections):
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")

    def entries(boxes, images, labels, **more):
        sizes = boxes[:, 2:].astype(float) - boxes[:, :2]
        rows = zip(np.hstack([boxes[:, :2], sizes]).tolist(), sizes.prod(axis=1), images, labels)
        for place, (box, area, image, label) in enumerate(rows):
            entry = dict(id=place + 1, bbox=box, area=area, image_id=int(image), category_id=int(label))
            yield {**entry, **{name: values[place] for name, values in more.items()}}

    truth = coco.COCO()
    truth.dataset = dict(
        images=[dict(id=place) for place in range(len(detections.images))],
        categories=[dict(id=place, name=name) for place, name in enumerate(detections.classes)],
        annotations=list(
            entries(
                detections.true_boxes,
                detections.true_image_of,
                detections.true_labels,
                iscrowd=detections.difficult.astype(int).tolist(),
            )
        ),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes(
            list(entries(detections.boxes, detections.image_of, detections.labels, score=detections.scores.tolist()))
        )
        theirs = cocoeval.COCOeval(truth, found, "bbox")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    figures = evaluate(detections)
    names = ["coco/mAP", "coco/AP50", "coco/AP75"]
    assert [figures[name] for name in names] == pytest.approx(theirs.stats[:3].tolist(), abs=1e-12)
    for label, name in enumerate(detections.classes):
        precision = theirs.eval["precision"][:, :, label, 0, 2]
        assert figures.get(f"coco/AP/{name}", -1) == pytest.approx(precision.mean(), abs=1e-12)


def copied(detections: Detections, images: np.ndarray) -> Detections:
    """A test set of the images at these places, each as often as it stands there."""
    samples = []
    for copy, image in enumerate(images):
        mine, there = detections.image_of == image, detections.true_image_of == image
        fields = {name: getattr(detections, name)[mine] for name in ("boxes", "scores", "labels")}
        fields.update({name: getattr(detections, name)[there] for name in ("true_boxes", "true_labels", "difficult")})
        samples.append(dict(image=copy, **fields))
    return Detections.stack(detections.classes, samples)


@pytest.mark.parametrize("metric", DEFINITIONS)
def test_the_figures_of_resampled_images_equal_those_of_a_test_set_made_of_them(detections, metric):
    rng = np.random.default_rng(8)
    drawn = rng.integers(len(detections.images), size=(5, len(detections.images)))
    weights = np.stack([np.bincount(row, minlength=len(detections.images)) for row in drawn], axis=1).astype(np.int32)
    slow = [evaluate(copied(detections, np.sort(row)))[metric] for row in drawn]
    np.testing.assert_allclose(resample(detections, metric, weights), slow, rtol=0, atol=1e-14)
    assert len(set(slow)) == 5


def test_a_sample_of_images_without_objects_has_no_figure(few_detections):
    empty = np.setdiff1d(np.arange(12), few_detections.true_image_of[~few_detections.difficult])
    assert len(empty)
    weights = np.zeros((12, 2), np.int32)
    weights[empty, 0] = 1
    weights[:, 1] = 1
    figures = resample(few_detections, "voc/mAP_area", weights)
    assert np.isnan(figures[0])
    assert figures[1] == evaluate(few_detections)["voc/mAP_area"]


def test_voc_overlap_counts_the_pixels_of_both_corners():
    boxes = np.array([[0, 0, 9, 9]], np.float32)
    assert voc_overlaps(boxes, np.array([[0, 0, 9, 4]], np.float32)).tolist() == [[0.5]]


RESULTS = Path(__file__).parents[2] / "results/first_study"


def test_every_class_of_every_file_has_its_average_precision():
    files = {arm: RESULTS / f"{arm}/seed0/bccd/seed0/detections.npz" for arm in ("baseline", "saliencymix")}
    header, rule, *rows = compare_classes(files).splitlines()
    assert header == "| AP50, VOC 11-point, % | baseline | saliencymix |" and rule == "| --- | ---: | ---: |"
    figures = [recompute(file) for file in files.values()]
    cells = {row.strip("| ").split(" | ")[0]: row.strip("| ").split(" | ")[1:] for row in rows}
    assert list(cells) == ["RBC", "WBC", "Platelets", "mean"]
    for name in ("RBC", "WBC", "Platelets"):
        assert cells[name] == [f"{100 * one[f'voc/AP_11point/{name}']:.2f}" for one in figures]
    assert cells["mean"] == [f"{100 * one['voc/mAP_11point']:.2f}" for one in figures]


def test_a_metric_without_classes_is_refused():
    with pytest.raises(UsageError, match="metric should be"):
        compare_classes({"one": RESULTS / "baseline/seed0/bccd/seed0/detections.npz"}, "coco/AP50")
