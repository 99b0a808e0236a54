"""Average precision of each class, of several detectors beside each other."""

from pathlib import Path

import pytest

from smix_mm.evaluation import recompute
from smix_mm.evaluation.by_class import compare_classes
from smix_mm.utils.errors import UsageError

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
