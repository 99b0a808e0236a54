"""What a study's config may say."""

import fcntl
from pathlib import Path

import pytest

from smix_mm.study.commands import run_study
from smix_mm.study.config import Arm, load_study
from smix_mm.utils.errors import UsageError

DEMO = Path(__file__).parents[2] / "configs/demo"
WHOLE = f"""
arms = dict(baseline="{DEMO}/pretrain_baseline.py")
detectors = dict(digits="{DEMO}/detector.py")
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text, message",
    [
        ("detectors = dict(a='b.py')", r"has arms=None; wanted arms=dict\(NAME=CONFIG"),
        (WHOLE + "arms = dict(a='none.py')", "none.py, which is not there"),
        (WHOLE + "detectors = dict(a='bare.py')", "bare.py has no LoadProofHook"),
        (WHOLE + "sheet = 'cutmix'", "has sheet='cutmix'; wanted one of its arms"),
        (WHOLE + "arms = {'a/b': 'bare.py'}", "has an arm 'a/b'; wanted a name of letters"),
        (
            WHOLE + "arms = dict(a=dict(weights='x.pth'))",
            r"wanted the config of a pretraining, or dict",
        ),
        (WHOLE + "arms = dict(a=dict(checkpoint='x.pth'))", "x.pth, which is not there"),
        (WHOLE + "pretraining_seeds = [0, 0]", r"has pretraining_seeds=\[0, 0\]; wanted different whole numbers"),
        (WHOLE + "finetuning_seeds = []", r"has finetuning_seeds=\[\]; wanted different"),
        (WHOLE + "planned = [('baseline', 'cutmix')]", r"has planned=.*wanted different pairs of its arms"),
        (WHOLE + "planned = 'baseline'", r"has planned='baseline'; wanted different pairs"),
        (WHOLE + "planned = [1]", r"has planned=\[1\]; wanted different pairs"),
        (WHOLE + "seed = 1", "has seed; wanted of arms, cluster,"),
        (WHOLE + "cluster = dict(queue='gpu')", "has cluster=queue; wanted of partition,"),
        ("arms = dict(a=dict(checkpoint='timm://resnet50'))", "has arms without pretraining and no detectors"),
    ],
)
def test_a_study_that_is_not_whole_is_refused_before_anything_runs(tmp_path, text, message):
    (tmp_path / "bare.py").write_text("model = dict()\n")
    with pytest.raises(UsageError, match=message):
        load_study(write(tmp_path, text))


def test_arms_are_pretrainings_files_or_checkpoints_of_a_library(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"")
    arms = f"""
arms = dict(
    baseline="{DEMO}/pretrain_baseline.py",
    mine=dict(checkpoint="mine.pth"),
    theirs=dict(checkpoint="torchvision://resnet50/IMAGENET1K_V1"),
)
pretraining_seeds = [3, 4]
"""
    study = load_study(write(tmp_path, WHOLE + arms))
    assert study.arms == {
        "baseline": Arm("baseline", pretraining=DEMO / "pretrain_baseline.py"),
        "mine": Arm("mine", checkpoint=str(tmp_path / "mine.pth")),
        "theirs": Arm("theirs", checkpoint="torchvision://resnet50/IMAGENET1K_V1"),
    }
    assert (study.pretraining_seeds, study.finetuning_seeds) == ((3, 4), (0,))


def test_pairs_can_be_planned(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"")
    text = WHOLE + "arms['mine'] = dict(checkpoint='mine.pth')\nplanned = [('baseline', 'mine')]"
    assert load_study(write(tmp_path, text)).planned == (("baseline", "mine"),)


def test_a_missing_study_is_named(tmp_path):
    with pytest.raises(UsageError, match="none.py is not there"):
        load_study(tmp_path / "none.py")


def test_two_studies_do_not_work_in_one_folder(tmp_path):
    (tmp_path / "work").mkdir()
    with open(tmp_path / "work/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another process runs a study in"):
            run_study(write(tmp_path, WHOLE), tmp_path / "work")
