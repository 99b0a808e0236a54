"""A run is executed once, continues after an interruption, and a stale one is set aside."""

from pathlib import Path

import pytest

from smix_mm.study.run import CODE, MARKER, begin, find_set_aside, finish, read_marker
from smix_mm.utils import imported_code
from smix_mm.utils.files import file_hash

INPUTS = dict(config="a")


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """Replaces the folder of the package."""
    folder = tmp_path / "package"
    (folder / "mixing").mkdir(parents=True)
    (folder / "mixing/patch.py").write_text("x = 1")
    (folder / "unused.py").write_text("y = 1")
    monkeypatch.setattr(imported_code, "_PACKAGE", folder)
    return folder


def execute(folder: Path, inputs=INPUTS, code: Path | None = None, stop: bool = False) -> list[str]:
    """Execute a run whose program imports ``mixing/patch.py``; the messages."""
    messages: list[str] = []
    if begin(folder, "run", inputs, messages.append):
        messages.append("executed")
        (folder / "epoch_1.pth").write_text("half")
        if code:
            (folder / CODE).write_text(f"{file_hash(code / 'mixing/patch.py')}  mixing/patch.py\n")
        if not stop:
            (folder / "out.txt").write_text("done")
            finish(folder, inputs, {"out.txt": file_hash(folder / "out.txt")}, 1.0)
    return messages


def aside(folder: Path) -> dict[str, str]:
    return {path.name: reason for path, reason in find_set_aside(folder.parent).items()}


def test_a_finished_run_is_left_alone_and_its_record_has_duration_outputs_and_code(tmp_path, package):
    folder = tmp_path / "seed0"
    assert execute(folder, code=package) == ["executed"]
    assert execute(folder, code=package) == ["run: finished before"]
    marker = read_marker(folder)
    digest = file_hash(package / "mixing/patch.py")
    assert (marker["seconds"], marker["code"]) == (1.0, {"mixing/patch.py": digest})
    assert marker["outputs"] == {"out.txt": file_hash(folder / "out.txt")} and not (folder / CODE).exists()


@pytest.mark.parametrize("inputs, named", [(dict(config="b"), "config"), (dict(config="a", data="x"), "data")])
def test_a_changed_input_is_named_and_the_run_is_set_aside(tmp_path, inputs, named):
    folder = tmp_path / "seed0"
    execute(folder)
    messages = execute(folder, inputs)
    (name, reason), *others = aside(folder).items()
    assert not others and name.startswith("seed0.stale-2") and name.endswith("-1")
    assert reason == f"of a change in: {named}" and (tmp_path / name / "epoch_1.pth").read_text() == "half"
    assert messages == [f"run: done again, because {reason}; its files are kept in {name}", "executed"]
    execute(folder)
    assert [one.endswith(("-1", "-2")) for one in aside(folder)] == [True, True], "no name is used twice"


@pytest.mark.parametrize("stop", [False, True])
def test_a_change_of_imported_code_makes_a_run_stale_and_other_code_does_not(tmp_path, package, stop):
    folder = tmp_path / "seed0"
    execute(folder, code=package, stop=stop)
    (package / "unused.py").write_text("y = 2")
    assert execute(folder, code=package, stop=stop) == (["executed"] if stop else ["run: finished before"])
    assert aside(folder) == {}
    (package / "mixing/patch.py").write_text("x = 2 ")
    assert execute(folder, code=package)[-1] == "executed"
    assert list(aside(folder).values()) == ["of a change in: the package's mixing/patch.py"]


def test_imported_code_that_no_longer_exists_makes_a_run_stale(tmp_path, package):
    execute(tmp_path / "seed0", code=package)
    (package / "mixing/patch.py").unlink()
    assert "because of a change in: the package's mixing/patch.py" in execute(tmp_path / "seed0")[0]


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("other")])
def test_a_missing_or_changed_output_is_made_again(tmp_path, harm):
    execute(tmp_path / "seed0")
    harm(tmp_path / "seed0/out.txt")
    messages = execute(tmp_path / "seed0")
    assert "out.txt is missing or was changed" in messages[0] and messages[1] == "executed"


def test_an_interrupted_run_continues_in_its_folder_without_the_temporary_files_of_a_killed_process(tmp_path):
    folder = tmp_path / "seed0"
    execute(folder, stop=True)
    (folder / "train").mkdir()
    kept = ["epoch_1.pth", "train/.hidden", "train/.git-ignore-me.txt", "train/best-checkpoint.pth"]
    left = ["train/.last_checkpoint-ab12_xyz", ".epoch_2-00aa11bb.pth", ".result-zzzzzzzz.json"]
    for name in kept + left:
        (folder / name).write_text("kept")
    assert execute(folder, stop=True) == ["executed"]
    assert [name for name in kept + left if (folder / name).exists()] == kept
    assert aside(folder) == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"inputs": 3}'])
def test_a_run_with_a_damaged_record_is_set_aside(tmp_path, content):
    execute(tmp_path / "seed0")
    (tmp_path / "seed0" / MARKER).write_text(content)
    assert execute(tmp_path / "seed0")[-1] == "executed"
    assert list(aside(tmp_path / "seed0").values()) == ["its step.json is missing or damaged"]
