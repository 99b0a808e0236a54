"""What a study's config may say, and the table that its results give."""

import fcntl
import json
from pathlib import Path

import pytest

from smix_mm.transfer.report import format_table, write_report
from smix_mm.transfer.study import StudyError, last_metrics, load_study, run_study

DEMO = Path(__file__).parents[2] / "configs/demo"
WHOLE = f"""
arms = dict(baseline="{DEMO}/pretrain_baseline.py")
detectors = dict(digits="{DEMO}/detector.py")
"""
METRIC = "pascal_voc/mAP"


def write(folder: Path, text: str) -> Path:
    path = folder / "study.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text, message",
    [
        ("detectors = dict(a='b.py')", r"has arms=None; wanted arms=dict\(NAME=CONFIG"),
        (WHOLE + "detectors = 'detector.py'", "has detectors='detector.py'; wanted"),
        (WHOLE + "arms = dict(a='none.py')", "none.py, which is not there"),
        (WHOLE + "detectors = dict(a='bare.py')", "bare.py has no LoadProofHook"),
        (WHOLE + "sheet = 'cutmix'", "has sheet='cutmix'; wanted one of its arms, baseline"),
    ],
)
def test_a_study_that_is_not_whole_is_refused_before_anything_runs(tmp_path, text, message):
    (tmp_path / "bare.py").write_text("model = dict()\n")
    with pytest.raises(StudyError, match=message):
        load_study(write(tmp_path, text))


def test_a_missing_study_is_named(tmp_path):
    with pytest.raises(StudyError, match="none.py is not there"):
        load_study(tmp_path / "none.py")


def test_two_studies_do_not_work_in_one_folder(tmp_path):
    (tmp_path / "work").mkdir()
    with open(tmp_path / "work/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StudyError, match="another process runs a study in"):
            run_study(write(tmp_path, WHOLE), tmp_path / "work")


def result(seed: int, accuracy: float | None, **figures: float) -> dict:
    pretraining = {} if accuracy is None else {"accuracy/top1": accuracy}
    return dict(seed=seed, pretraining=pretraining, detection={name: {METRIC: x} for name, x in figures.items()})


RESULTS = {
    "baseline": result(0, 80.04, bccd=0.5, voc=0.25),
    "saliencymix": result(0, None, bccd=0.5125, voc=0.2),
}


def test_the_table_has_a_line_an_arm_and_differences_from_the_first():
    lines = format_table(RESULTS, METRIC).splitlines()
    assert lines[0] == (
        "| arm | pretraining top-1 % | bccd mAP % | difference from baseline | voc mAP % | difference from baseline |"
    )
    assert lines[2] == "| baseline | 80.0 | 50.0 |  | 25.0 |  |"
    assert lines[3] == "| saliencymix | not measured | 51.2 | +1.2 | 20.0 | -5.0 |"
    assert "no arm is shown to be better" in lines[-1]


def test_the_report_is_written_as_text_data_and_picture(tmp_path, capsys):
    write_report("A study", RESULTS, METRIC, tmp_path)
    assert (tmp_path / "table.md").read_text().startswith("# A study\n\n| arm")
    assert json.loads((tmp_path / "results.json").read_text())["results"] == RESULTS
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
    assert "| saliencymix |" in capsys.readouterr().out


def test_the_newest_evaluation_of_a_training_is_found_across_resumes(tmp_path):
    for run, entries in {
        "1": [dict(step=1, loss=2.0), {"step": 2, "accuracy/top1": 40.0}],
        "2": [{"step": 4, "accuracy/top1": 60.0, "accuracy/top5": 90.0}, dict(step=5, lr=0.1)],
    }.items():
        log = tmp_path / run / "vis_data/scalars.json"
        log.parent.mkdir(parents=True)
        log.write_text("\n".join(map(json.dumps, entries)) + "\n")
    assert last_metrics(tmp_path) == {"accuracy/top1": 60.0, "accuracy/top5": 90.0}
    assert last_metrics(tmp_path / "none") == {}
