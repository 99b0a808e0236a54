"""The report as it is written."""

import csv
import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest

from smix_mm.evaluation import read_detections, recompute
from smix_mm.study.report import report_study
from smix_mm.utils.errors import DataError
from smix_mm.utils.files import file_hash

FILES = [
    "report.md",
    "report.json",
    "report.csv",
    "arms.png",
    "differences.png",
    "classes.png",
    "curves.png",
    "report.html",
]


@pytest.fixture(scope="module")
def report(whole_study, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report")
    report_study(whole_study, out, samples=50)
    return out


def rows(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {start} |")]


def test_equal_results_give_equal_bytes_wherever_they_lie(whole_study, report, tmp_path):
    shutil.copytree(whole_study, tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in sorted((tmp_path / "elsewhere").rglob("*")) if path.is_file()}
    report_study(tmp_path / "elsewhere", samples=50)
    for name in FILES:
        assert (tmp_path / "elsewhere" / name).read_bytes() == (report / name).read_bytes(), name
    assert {path: path.read_bytes() for path in before} == before


def test_the_report_needs_no_openmmlab_package(whole_study, report, tmp_path, run_tool):
    program = (
        "import sys\n"
        "for name in ('mmengine', 'mmcv', 'mmdet', 'mmpretrain', 'numba'): sys.modules[name] = None\n"
        "from smix_mm.study.report import report_study\n"
        f"report_study({str(whole_study)!r}, {str(tmp_path)!r}, samples=50)\n"
    )
    run_tool(sys.executable, "-c", program)
    assert (tmp_path / "report.json").read_bytes() == (report / "report.json").read_bytes()


def test_the_text_has_arms_pairs_classes_every_definition_and_the_papers(report):
    text = (report / "report.md").read_text()
    assert text.startswith(
        "# A made-up study\n\nCompared are 3 arms of pretraining (baseline, cutmix, saliencymix), with 3 pretraining "
        "seeds, each backbone fine-tuned with 2 fine-tuning seeds for detection (bccd, voc).\n\n"
        "AP50, VOC 11-point (`voc/mAP_11point`), in %. 45 of 45 results are used;"
    )
    assert rows(text, "baseline")[0].endswith("| 81.80 (n = 3) | 76.71 |")
    assert rows(text, "cutmix")[0].endswith("| 81.60 (n = 3) | – |")
    assert len(rows(text, "saliencymix − cutmix")) == 2
    assert len(rows(text, "person")) == 2
    assert not rows(text, "train")
    assert (
        "| arm | AP50, VOC 11-point | AP50, VOC area | AP, COCO-style | AP50, COCO-style | AP75, COCO-style |" in text
    )
    assert rows(text, "CutMix") == ["| CutMix | 78.31 | +1.60 | 76.7 | +1.1 |"]
    assert rows(text, "SaliencyMix") == ["| SaliencyMix | 78.48 | +1.77 | – |  |"]
    assert text.endswith("## Problems\n\nNone.\n")
    assert all(f"({name})" in text for name in FILES if name.endswith(".png"))


def test_the_text_shows_the_numbers_of_the_data(report):
    content = json.loads((report / "report.json").read_text())
    text = (report / "report.md").read_text()
    assert len(content["arms"]) == len(content["pairs"]) == 6
    for arm in content["arms"]:
        assert any(f"| {arm['mean']:.2f} | {arm['deviation']:.2f} |" in row for row in rows(text, arm["arm"]))
        assert arm["mean"] == arm["means"][content["metric"]]
    for pair in content["pairs"]:
        assert f"- {pair['verdict']}" in text
        assert any(f"| {pair['difference']:+.2f} |" in row for row in rows(text, f"{pair['second']} − {pair['first']}"))


def test_the_lines_hold_every_run_and_figure(whole_study, report):
    with open(report / "report.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 45
    keys = ("arm", "detector", "pretraining_seed", "finetuning_seed")
    line = next(line for line in lines if [line[key] for key in keys] == ["cutmix", "voc", "1", "0"])
    result = json.loads((whole_study / "cutmix/seed1/voc/seed0/result.json").read_text())
    assert {name: float(line[name]) for name in result["metrics"]} == result["metrics"]
    assert line["backbone_hash"] == result["backbone_hash"]
    assert next(one for one in lines if one["detector"] == "pretraining")["finetuning_seed"] == ""


def test_the_figures_are_images_that_are_not_empty(report):
    from matplotlib import image

    for name in FILES:
        if name.endswith(".png"):
            pixels = image.imread(report / name)
            assert pixels.shape[0] > 200
            assert pixels.shape[1] > 500
            assert pixels[..., :3].std() > 0.05, name


def test_unusable_files_are_listed_in_the_report(tmp_path, write_study):
    study = write_study(tmp_path, dict(a=15.0, b=15.0), ("voc",), (0, 1), (0,))
    (study / "a/seed0/voc/seed0/result.json").write_text("{")
    (study / "b/seed1/voc/seed0/result.json").unlink()
    (study / "b/seed0/voc/seed0/curve.json").write_text("{")
    summary = report_study(study, samples=20)
    text = (study / "report.md").read_text()
    wrong = text.split("## Problems\n\n")[1].splitlines()
    assert wrong[0] == "- b/seed1/voc/seed0 has no result"
    assert wrong[1].startswith("- a/seed0/voc/seed0/result.json cannot be used: ")
    assert wrong[2].startswith("- b/seed0/voc/seed0/curve.json cannot be used: ")
    assert len(wrong) == 3
    assert "the arms have no seed in common, so they cannot be compared." in summary
    assert "1 of 1" not in summary


def test_one_seed_gives_a_table_and_no_interval(tmp_path, write_study):
    study = write_study(tmp_path, dict(a=15.0, b=12.0), ("voc",), (0,), (0,))
    summary = report_study(study, samples=20)
    assert "in one seed, which has no spread: no difference can be shown" in summary
    row = rows(summary, "a")[0].split(" | ")
    assert row[2:5] == ["–", "1 fine-tuning seed", "–"]


def test_an_arm_without_detections_has_no_interval_over_images_and_is_named(tmp_path, write_study):
    study = write_study(tmp_path, dict(a=15.0, b=12.0), ("voc",), (0, 1), (0,))
    for seed in (0, 1):
        run = study / f"a/seed{seed}/voc/seed0"
        found = read_detections(run / "detections.npz")
        none = {name: getattr(found, name)[:0] for name in ("boxes", "scores", "labels", "image_of")}
        dataclasses.replace(found, **none).write(run / "detections.npz")
        result = json.loads((run / "result.json").read_text())
        result.update(metrics=recompute(run / "detections.npz"), detections=file_hash(run / "detections.npz"))
        (run / "result.json").write_text(json.dumps(result))
    summary = report_study(study, samples=20)
    assert rows(summary, "a")[0].startswith("| a | 0.00 | 0.00 | 2 pretraining seeds | – | no detections |")
    text = (study / "report.md").read_text()
    assert "0.00 to 0.00" not in text
    for seed in (0, 1):
        none = f"- a/seed{seed}/voc/seed0: its detector has no detections in the 24 test images, so its AP is 0"
        assert none in text.split("## Problems")[1]
    arms = {arm["arm"]: arm for arm in json.loads((study / "report.json").read_text())["arms"]}
    assert arms["a"]["images"] is None and arms["a"]["detections"] == 0
    assert arms["b"]["images"] is not None and arms["b"]["detections"] > 0


def test_pretrainings_alone_are_reported_without_detectors(tmp_path, write_study):
    study = write_study(tmp_path, dict(a=1.0, bcd=1.0), (), (0, 1, 2), metric="accuracy/top1")
    summary = report_study(study)
    assert "top1 (`accuracy/top1`), in %. 6 of 6 results are used;" in summary
    assert rows(summary, "a") == ["| a | 81.10 | 1.00 | 3 pretraining seeds | 78.62 to 83.58 |"]
    assert "+0.20 points in each of 3 pretraining seeds, which have no spread" in summary
    assert "What the papers report" not in (study / "report.md").read_text()
    assert not (study / "classes.png").exists()


def test_a_study_without_a_usable_result_is_an_error(tmp_path, write_study):
    study = write_study(tmp_path, dict(a=15.0), ("voc",), (0,), (0,))
    (study / "a/seed0/voc/seed0/result.json").write_text("")
    with pytest.raises(DataError, match=r"no usable result of voc\na/seed0/voc/seed0/result.json cannot be used"):
        report_study(study)
