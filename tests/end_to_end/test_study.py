"""Studies as real processes: killed repeatedly, with a failing arm, a full disk or a changed file."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smix_mm.datasets.demo import make_digit_scenes

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long
METRIC = "voc/mAP_11point"


def started(study: Path, work_dir: Path, **environment: object) -> subprocess.Popen:
    command = [sys.executable, "tools/study.py", "run", str(study), "--work-dir", str(work_dir)]
    variables = {"OMP_NUM_THREADS": "1", **{name: str(value) for name, value in environment.items()}}
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **variables}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def results_of(work_dir: Path) -> dict[str, bytes]:
    """All result files of a study, by relative path."""
    found = sorted(work_dir.rglob("result.json"))
    return {str(path.relative_to(work_dir)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "data"
    make_digit_scenes(folder, train_scenes=12, test_scenes=6, pretrain_train=120, pretrain_test=20)
    return folder


@pytest.fixture
def small_study(tmp_path) -> Path:
    """The demo's arms with two seeds and few images."""
    demo = ROOT / "configs/demo"
    arms = ("baseline", "cutmix", "saliencymix")
    for arm in arms:
        (tmp_path / f"{arm}.py").write_text(
            f'_base_ = "{demo}/pretrain_baseline.py"\ntrain_cfg = dict(max_epochs=2, val_interval=2)\n'
            "train_dataloader = dict(batch_size=40)\ndefault_hooks = dict(checkpoint=dict(interval=1))\n"
        )
    (tmp_path / "detector.py").write_text(f'_base_ = "{demo}/detector.py"\ntrain_cfg = dict(max_epochs=2)\n')
    study = tmp_path / "study.py"
    named = ", ".join(f'{arm}=dict(config="{arm}.py", cfg_options=dict(augment="{arm}"))' for arm in arms[1:])
    study.write_text(
        f'arms = dict(baseline="baseline.py", {named})\n'
        'detectors = dict(digits="detector.py")\npretraining_seeds = [0, 1]\n'
    )
    return study


@pytest.mark.timeout(1300)
def test_a_study_killed_twenty_times_has_the_results_of_an_undisturbed_one(small_study, digits, tmp_path):
    """SIGKILL at random moments: no finished run is repeated, and no incomplete run counts as finished."""
    undisturbed = started(small_study, tmp_path / "undisturbed", SMIX_DEMO_DATA=digits)
    moments, kills, output = random.Random(0), 0, ""
    while kills < 20:
        study = started(small_study, tmp_path / "killed", SMIX_DEMO_DATA=digits)
        try:
            output += study.communicate(timeout=moments.uniform(3, 12))[0]
            # The study has finished, so it cannot be killed any more.
            assert study.returncode == 0, output[-3000:]
            break
        except subprocess.TimeoutExpired:
            study.send_signal(signal.SIGKILL)
            output += study.communicate()[0]
            kills += 1
            time.sleep(0.2)
    last = started(small_study, tmp_path / "killed", SMIX_DEMO_DATA=digits)
    output += last.communicate(timeout=600)[0]
    assert last.returncode == 0, output[-3000:]
    assert kills == 20, f"the study ended after {kills} kills: its runs are too short for this test"
    printed = undisturbed.communicate(timeout=600)[0]
    assert undisturbed.returncode == 0, printed[-3000:]
    expected = results_of(tmp_path / "undisturbed")
    assert len(expected) == 12 and results_of(tmp_path / "killed") == expected
    done = [line.partition(": done in")[0] for line in output.splitlines() if ": done in" in line]
    assert len(done) == len(set(done)), output


@pytest.mark.timeout(600)
def test_a_failing_arm_is_reported_at_the_end_without_stopping_the_others(small_study, digits, tmp_path, run_tool):
    broken = small_study.parent / "baseline.py"
    broken.write_text(broken.read_text() + 'model = dict(backbone=dict(type="NoSuchBackbone"))\n')
    text = re.sub(r"cutmix=dict.*?\)\), ", "", small_study.read_text().replace("[0, 1]", "[0]"))
    small_study.write_text(text)
    study = started(small_study, tmp_path / "work", SMIX_DEMO_DATA=digits)
    output = study.communicate(timeout=500)[0]
    assert study.returncode == 1
    assert "NoSuchBackbone" in output and "baseline/seed0/pretraining failed; the other runs continue" in output
    last = output.strip().splitlines()[-1]
    assert last.startswith(
        "study.py: failed: baseline/seed0/pretraining (blocked by these: 1 more). Fix what is shown at "
    )
    log = tmp_path / "work/baseline/seed0/pretraining/run.log"
    assert str(log) in last and "NoSuchBackbone" in log.read_text()
    assert set(results_of(tmp_path / "work")) == {
        "saliencymix/seed0/pretraining/result.json", "saliencymix/seed0/digits/seed0/result.json",
    }  # fmt: skip

    status = run_tool("tools/study.py", "status", small_study, "--work-dir", tmp_path / "work", SMIX_DEMO_DATA=digits)
    assert "baseline/seed0/pretraining: failed" in status.stdout and "NoSuchBackbone" in status.stdout
    assert "saliencymix/seed0/digits/seed0: finished in" in status.stdout
    assert "baseline/seed0/digits/seed0: blocked by baseline/seed0/pretraining" in status.stdout
    for kind in ("pretraining", "digits/seed0"):
        code = json.loads((tmp_path / "work/saliencymix/seed0" / kind / "step.json").read_text())["code"]
        assert {"cli/train.py", "engine/train.py", "transfer/proof.py"} <= {*code}
        # The detector is trained without mixing.
        assert ("mixing/patch.py" in code) == (kind == "pretraining")
        assert not [name for name in code if name.startswith(("study/", "visualization/", "analysis/"))]
    run_tool("tools/study.py", "clean", "--work-dir", tmp_path / "work")
    assert not list((tmp_path / "work/saliencymix").rglob("epoch_*.pth"))
    again = started(small_study, tmp_path / "work", SMIX_DEMO_DATA=digits).communicate(timeout=300)[0]
    assert again.count("finished before") == 2

    verify = run_tool("tools/study.py", "verify", "--work-dir", tmp_path / "work", check=False)
    assert verify.returncode == 1 and "baseline/seed0/pretraining is not finished" in verify.stdout
    assert "saliencymix" not in verify.stdout
    result = tmp_path / "work/saliencymix/seed0/digits/seed0/result.json"
    content = json.loads(result.read_text())
    content["metrics"][METRIC] = 0.999
    result.write_text(json.dumps(content))
    verify = run_tool("tools/study.py", "verify", "--work-dir", tmp_path / "work", check=False)
    assert "saliencymix/seed0/digits/seed0/result.json is missing or was changed" in verify.stdout
    assert f"{METRIC} is 0.999 in result.json, but" in verify.stdout


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MB, less than one checkpoint with its optimiser."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.timeout(300)
def test_a_full_disk_raises_a_clear_error_and_leaves_no_incomplete_file(small_study, digits, small_disk):
    small_study.write_text(small_study.read_text().replace("[0, 1]", "[0]"))
    study = started(small_study, small_disk / "work", SMIX_DEMO_DATA=digits)
    output = study.communicate(timeout=280)[0]
    assert study.returncode == 1
    assert "disk" in output and "full" in output, output[-3000:]
    assert results_of(small_disk / "work") == {}
    assert not [path for path in small_disk.rglob("*.pth") if path.stat().st_size == 0 or path.name.startswith(".")]
