"""The study from one command to the table: whole, again, killed, and with an arm that fails."""

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

from smix_mm.datasets.digits import make_digit_scenes

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long


def started(study: Path, work_dir: Path, **environment: object) -> subprocess.Popen:
    command = [sys.executable, "tools/study.py", "run", str(study), "--work-dir", str(work_dir)]
    variables = {name: str(value) for name, value in environment.items()}
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **variables}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.timeout(900)
def test_the_demo_gives_its_table_its_figure_and_its_page_and_is_not_done_twice(tmp_path, run_tool):
    run_tool("tools/study.py", "run", "configs/demo/study.py", "--work-dir", tmp_path, timeout=850)
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert list(results) == ["baseline", "cutmix", "saliencymix"]
    for arm, result in results.items():
        assert result == json.loads((tmp_path / arm / "result.json").read_text())
        assert result["load_proof"]["digits"] == dict(backbone_hash=result["backbone_hash"], loaded="whole")
    assert len({result["backbone_hash"] for result in results.values()}) == 3
    assert 0.3 < results["baseline"]["detection"]["digits"]["pascal_voc/mAP"] < 0.9
    table = (tmp_path / "table.md").read_text()
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    shown = {row[0]: row[2].strip(" |") for row in cells}
    for arm, result in results.items():
        assert shown[arm] == f"{100 * result['detection']['digits']['pascal_voc/mAP']:.1f}"
    for picture in ("table.png", "mixed.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")}
    again = run_tool("tools/study.py", "run", "configs/demo/study.py", "--work-dir", tmp_path)
    assert again.stdout.count("finished before") == 12 and table.splitlines()[4] in again.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")} == before


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "data"
    make_digit_scenes(folder, train_scenes=12, test_scenes=6, pretrain_train=120, pretrain_test=20)
    return folder


@pytest.fixture
def small_study(tmp_path) -> Path:
    """The demo's study with two arms, on few pictures."""
    demo = ROOT / "configs/demo"
    for arm in ("baseline", "saliencymix"):
        (tmp_path / f"{arm}.py").write_text(
            f'_base_ = "{demo}/pretrain_{arm}.py"\ntrain_cfg = dict(max_epochs=2, val_interval=2)\n'
            "train_dataloader = dict(batch_size=40)\ndefault_hooks = dict(checkpoint=dict(interval=1))\n"
        )
    (tmp_path / "detector.py").write_text(f'_base_ = "{demo}/detector.py"\ntrain_cfg = dict(max_epochs=2)\n')
    study = tmp_path / "study.py"
    study.write_text(
        'arms = dict(baseline="baseline.py", saliencymix="saliencymix.py")\ndetectors = dict(digits="detector.py")\n'
    )
    return study


@pytest.mark.timeout(900)
def test_killed_again_and_again_it_ends_with_every_step_done_once(small_study, digits, tmp_path):
    """SIGKILL at random moments: nothing finished is repeated, nothing half-done taken for finished."""
    moments, output = random.Random(0), ""
    work_dir = tmp_path / "work"
    for _ in range(8):
        study = started(small_study, work_dir, SMIX_DEMO_DATA=digits)
        try:
            output += study.communicate(timeout=moments.uniform(4, 24))[0]
            break
        except subprocess.TimeoutExpired:
            study.send_signal(signal.SIGKILL)
            output += study.communicate()[0]
            time.sleep(0.2)
    last = started(small_study, work_dir, SMIX_DEMO_DATA=digits)
    output += last.communicate(timeout=400)[0]
    assert last.returncode == 0, output[-3000:]
    done = re.findall(r"(\[\d/2\] \w+: [\w -]+): done in", output)
    assert len(done) == len(set(done)), output
    results = json.loads((work_dir / "results.json").read_text())["results"]
    assert set(results) == {"baseline", "saliencymix"}
    for result in results.values():
        assert result["load_proof"]["digits"]["backbone_hash"] == result["backbone_hash"]
        assert 0 <= result["detection"]["digits"]["pascal_voc/mAP"] <= 1


@pytest.mark.timeout(600)
def test_a_failing_arm_is_reported_at_the_end_without_stopping_the_others(small_study, digits, tmp_path):
    broken = small_study.parent / "baseline.py"
    broken.write_text(broken.read_text() + 'model = dict(backbone=dict(type="NoSuchBackbone"))\n')
    study = started(small_study, tmp_path / "work", SMIX_DEMO_DATA=digits)
    output = study.communicate(timeout=500)[0]
    assert study.returncode == 1
    assert "NoSuchBackbone" in output and "baseline failed; going on with the other arms" in output
    assert output.strip().splitlines()[-1].startswith("study.py: failed: baseline; mend what their logs")
    assert list(json.loads((tmp_path / "work/results.json").read_text())["results"]) == ["saliencymix"]
