"""Clearing the folder of a study: training files, stale runs and what killed processes left."""

import json

import pytest

from smix_mm.study.commands import clean, clear_study, folder_size
from smix_mm.study.run import Run, begin, finish, set_aside
from smix_mm.utils.errors import UsageError
from smix_mm.utils.files import file_hash

RUN = Run("mix", 0)


@pytest.fixture
def study(tmp_path):
    """A study with a finished run and one that was set aside."""
    (tmp_path / "study.json").write_text("{}")
    folder = tmp_path / RUN.name
    for _ in range(2):
        begin(folder, RUN.name, {}, print)
        (folder / "train").mkdir()
        (folder / "train/epoch_1.pth").write_bytes(b"x" * 2**20)
        (folder / "result.json").write_text("{}")
        finish(folder, {}, {"result.json": file_hash(folder / "result.json")}, 1.0)
        if _ == 0:
            aside = set_aside(folder, "of a change in: the seed")
    return tmp_path, folder, aside


def test_clean_lists_stale_runs_and_removes_them_only_when_asked(study, capsys):
    work_dir, folder, aside = study
    assert clean(work_dir) == 2**20
    out = capsys.readouterr().out
    assert f"mix/seed0/{aside.name}: set aside (remove it with --stale), 1 MiB; of a change in: the seed" in out
    assert not (folder / "train").exists() and (aside / "train/epoch_1.pth").exists()
    assert clean(work_dir, stale=True) >= 2**20
    assert f"mix/seed0/{aside.name}: removed, 1 MiB" in capsys.readouterr().out
    assert not aside.exists() and json.loads((folder / "step.json").read_text())["outputs"]


def test_of_hard_links_the_last_counts_and_none_with_another_outside(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("train/epoch_1.pth", "train/log"):
        (tmp_path / name).write_bytes(b"x" * 1000)
    (tmp_path / "train/checkpoint.pth").hardlink_to(tmp_path / "train/epoch_1.pth")
    assert folder_size(tmp_path / "train") == 2000
    (tmp_path / "log").hardlink_to(tmp_path / "train/log")
    assert (folder_size(tmp_path / "train"), folder_size(tmp_path)) == (1000, 2000)


def test_clean_needs_a_study(tmp_path):
    with pytest.raises(UsageError, match="contains no study.json"):
        clean(tmp_path)


def test_what_a_killed_study_left_in_its_folder_is_removed_and_other_files_are_not(study):
    work_dir = study[0]
    (work_dir / "jobs").mkdir()
    left = [".study-ab12cd_3.json", ".report-abcdefgh.html", ".curves-00000000.png", "jobs/.submitted-abcdefgh.json"]
    kept = [".my-settings.json", ".report.md", "report-abcdefgh.md", "jobs/.mine-abcdefgh.json"]
    for name in left + kept:
        (work_dir / name).write_text("x")
    clear_study(work_dir)
    assert [name for name in left + kept if (work_dir / name).exists()] == kept
