"""The runner of `make gpu`, with parts that replace the real ones."""

import json
import os
import re
import runpy
import sys
import time
from pathlib import Path

import pytest

from smix_mm.benchmarks import gpu_run, machine
from smix_mm.benchmarks.gpu_run import PARTS, Part, all_passed, benchmark, run_parts

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/gpu_check.py"
ABOUT_THE_MARKER = (Path(__file__), ROOT / "tests/test_gpu_marker.py")

WRITES_ROWS = "import json, sys; json.dump({'rows': [{'ms': 1.5}]}, open(sys.argv[2], 'w'))"
CHILD = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
HANGS = f"{CHILD}time.sleep(600)"
SUITE = """
import pytest

def test_right():
    pass

def test_wrong():
    assert 1 == 2, "one is not two"

@pytest.mark.skip(reason="no contrib build")
def test_elsewhere():
    pass
"""


def python(name: str, code: str, seconds: float = 60.0) -> Part:
    return benchmark(name, seconds, "-c", code)


def suite(name: str, path: Path, *options: str) -> Part:
    """Tests that run on any machine: without the expression that chooses those for a GPU."""
    arguments = [*gpu_run.PYTEST, f"--rootdir={path.parent}", str(path), *options]
    place = arguments.index("gpu")
    del arguments[place - 1 : place + 1]
    return Part(name, "tests", tuple(arguments), 60.0)


def run(tmp_path, *parts, **options):
    return run_parts(parts, tmp_path / "out", tmp_path, say=lambda text: None, **options)


def test_a_part_that_fails_or_hangs_does_not_stop_the_rest(tmp_path):
    fails = python("fails", "import sys; print('why', file=sys.stderr); sys.exit(3)")
    results = run(tmp_path, fails, python("hangs", HANGS, 3.0), python("works", WRITES_ROWS))
    assert [result["status"] for result in results.values()] == ["failed", "timed out", "passed"]
    assert results["fails"]["why"].startswith("exit status 3; its output is in ")
    assert (tmp_path / "out/fails.log").read_text() == "why\n"
    assert results["hangs"]["why"].startswith("killed after 3 s") and 3 <= results["hangs"]["seconds"] < 20
    assert results["works"]["rows"] == [{"ms": 1.5}] and results["works"]["why"] is None
    assert not all_passed(results) and all_passed({"works": results["works"]})


def test_processes_that_a_killed_part_started_are_killed(tmp_path):
    code = f"import os; open({str(tmp_path / 'group')!r}, 'w').write(str(os.getpgrp())); {HANGS}"
    run(tmp_path, python("hangs", code, 3.0))
    group = int((tmp_path / "group").read_text())
    assert group != os.getpgrp()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_processes_that_a_part_started_end_with_it(tmp_path):
    code = f"import os; open({str(tmp_path / 'group')!r}, 'w').write(str(os.getpgrp())); {CHILD}{WRITES_ROWS}"
    assert run(tmp_path, python("leaves", code))["leaves"]["status"] == "passed"
    with pytest.raises(ProcessLookupError):
        os.killpg(int((tmp_path / "group").read_text()), 0)


def test_a_part_that_ignores_the_first_signal_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_run, "GRACE_SECONDS", 0.5)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    begun = time.monotonic()
    assert run(tmp_path, python("stubborn", code, 2.0))["stubborn"]["status"] == "timed out"
    assert time.monotonic() - begun < 30


def test_a_part_without_time_left_has_not_passed(tmp_path):
    results = run(tmp_path, python("hangs", HANGS), python("late", WRITES_ROWS), total_seconds=2.0)
    assert [result["status"] for result in results.values()] == ["timed out", "timed out"]
    assert results["late"]["why"] == "no time was left for it" and not all_passed(results)


def test_tests_are_counted_with_their_failures_and_what_was_left_out(tmp_path):
    path = tmp_path / "test_suite.py"
    path.write_text(SUITE)
    result = run(tmp_path, suite("suite", path))["suite"]
    assert result["status"] == "failed" and result["tests"] == dict(passed=1, failed=1, skipped=1)
    assert result["failures"] == [{"test": "test_suite::test_wrong", "why": "AssertionError: one is not two"}]
    assert result["skips"] == [{"test": "test_suite::test_elsewhere", "why": "no contrib build"}]
    assert "test_right PASSED" in (tmp_path / "out/suite.log").read_text()


def test_tests_that_are_all_skipped_are_left_out_and_no_tests_at_all_are_a_failure(tmp_path):
    path = tmp_path / "test_suite.py"
    path.write_text(SUITE)
    module = tmp_path / "test_module.py"
    module.write_text('import pytest\npytest.skip("no operators", allow_module_level=True)\n')
    broken = tmp_path / "test_broken.py"
    broken.write_text("import nothing_of_this_name\n")
    results = run(
        tmp_path,
        suite("skipped", path, "-k", "elsewhere"),
        suite("module", module),
        suite("none", path, "-k", "nowhere"),
        suite("broken", broken),
    )
    assert [result["status"] for result in results.values()] == ["left out", "left out", "failed", "failed"]
    assert [results[name]["why"] for name in ("skipped", "module")] == ["no contrib build", "no operators"]
    assert results["broken"]["tests"]["failed"] == 1


def test_tests_that_see_no_gpu_have_not_passed(tmp_path, monkeypatch):
    """As where a driver fails between two parts."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (part,) = [part for part in PARTS if part.name == "training-tests"]
    result = run_parts([part], tmp_path, ROOT, say=lambda text: None)[part.name]
    assert result["status"] == "failed" and result["why"].startswith("torch saw no GPU in it")
    assert result["tests"]["passed"] == 0 and result["tests"]["skipped"] == 4


def test_parts_run_in_the_project_which_python_finds_first(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    code = (
        "import json, os, sys; json.dump({'rows': [[os.getcwd(), os.environ['PYTHONPATH']]]}, open(sys.argv[2], 'w'))"
    )
    ((folder, path),) = run(tmp_path, python("where", code))["where"]["rows"]
    assert folder == str(tmp_path) and path == f"{tmp_path}{os.pathsep}/elsewhere"


def test_results_of_an_earlier_run_are_removed(tmp_path):
    assert run(tmp_path, python("part", WRITES_ROWS))["part"]["rows"]
    assert run(tmp_path, python("part", "raise SystemExit(1)"))["part"]["rows"] == []


def test_every_file_with_a_test_for_a_gpu_belongs_to_a_part():
    """A test that takes the fixture `device` runs on a GPU too."""
    marked = re.compile(r"mark\.gpu\b|^def test_\w+\([^)]*\bdevice\b", re.MULTILINE)
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if path not in ABOUT_THE_MARKER and marked.search(path.read_text())
    }
    covered = [argument for part in PARTS for argument in part.arguments if argument.startswith("tests/")]
    assert len(files) > 4 and sorted(covered) == sorted(files)


def test_tests_that_need_a_gpu_are_skipped_only_by_their_marker():
    idiom = re.compile(r"skip\w*\((?:not )?torch\.cuda|not torch\.cuda\.is_available\(\):\n +pytest\.skip")
    files = [path for path in (ROOT / "tests").rglob("*.py") if path not in ABOUT_THE_MARKER]
    assert [path for path in files if idiom.search(path.read_text())] == []


def test_every_part_has_a_limit_and_its_files_exist():
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert gpu_run.TOTAL_SECONDS < 7 * 60 and all(0 < part.seconds < gpu_run.TOTAL_SECONDS for part in PARTS)
    for part in PARTS:
        assert any("{out}" in argument for argument in part.arguments)
        named = [argument for argument in part.arguments if re.match(r"(tests|tools|configs)/", argument)]
        assert named and all((ROOT / name).is_file() for name in named)
    kinds = [part.kind for part in PARTS]
    assert kinds == sorted(kinds, reverse=True), "tests come first"


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name="__main__")
    return ended.value.code


def without_a_gpu():
    return {"card": None, "torch": "2.11.0"}


def with_a_gpu():
    return {"card": "NVIDIA Example 80GB", "torch": "2.11.0", "driver": "1.2"}


def test_without_a_gpu_it_ends_with_a_sentence_and_status_2(run_tool):
    ended = run_tool(TOOL, check=False, CUDA_VISIBLE_DEVICES="", PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    assert ended.returncode == 2
    assert re.fullmatch(r"gpu_check\.py: torch \S+ sees no GPU; .*", ended.stdout.strip().splitlines()[-1])


def test_make_gpu_uses_the_python_of_the_path_in_a_checkout_without_an_environment(run_tool, tmp_path):
    """By `PYTHONPATH` alone."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "tools", "smix_mm", "tests"):
        (folder / name).symlink_to(ROOT / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    packages = os.pathsep.join(filter(None, sys.path))
    ended = run_tool(
        "make", "gpu", check=False, cwd=folder, PATH=path, CUDA_VISIBLE_DEVICES="", PYTHONPATH=packages
    )  # fmt: skip
    assert ended.returncode == 2 and "gpu_check.py: torch " in ended.stdout and "sees no GPU" in ended.stdout


def test_the_plan_needs_no_gpu(monkeypatch, capsys):
    monkeypatch.setattr(machine, "describe_gpu_machine", without_a_gpu)
    assert call(monkeypatch, "--plan") == 0
    printed = capsys.readouterr().out
    assert all(f"{part.name}: {part.kind}, at most {part.seconds:.0f} s" in printed for part in PARTS)


def test_outside_of_a_checkout_nothing_is_run(monkeypatch, tmp_path, capsys):
    from smix_mm.cli import gpu_check

    monkeypatch.setattr(gpu_check, "ROOT", tmp_path)
    assert call(monkeypatch, "--plan") == 2
    assert f"needs the project's folder with its tests, got {tmp_path}; run `make gpu`" in capsys.readouterr().err


def test_an_unknown_part_is_refused(monkeypatch, capsys):
    assert call(monkeypatch, "--only", "saliency", "speed") == 2
    assert "gpu_check.py: --only should be of saliency-tests, " in capsys.readouterr().err


@pytest.mark.parametrize("fails", [False, True])
def test_it_prints_one_table_writes_the_file_of_the_card_and_exits_with_1_after_a_failure(
    fails, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "test_suite.py"
    path.write_text(SUITE)
    only = () if fails else ("-k", "not wrong")
    monkeypatch.setattr(gpu_run, "PARTS", (suite("suite", path, *only), python("speed", WRITES_ROWS)))
    monkeypatch.setattr(machine, "describe_gpu_machine", with_a_gpu)
    options = ("--out", tmp_path / "out", "--results", tmp_path / "results")
    assert call(monkeypatch, *options) == int(fails)
    printed = capsys.readouterr().out
    counts = f"1 passed, {int(fails)} failed, 1 left out"
    assert re.search(rf"^\| suite \| (passed|failed) in \d+ s: {counts} \|$", printed, re.MULTILINE)
    assert "left out: test_suite::test_elsewhere: no contrib build" in printed
    assert ("failed: test_suite::test_wrong: AssertionError: one is not two" in printed) == fails
    assert printed.count("| --- | --- |") == 1
    record = json.loads((tmp_path / "results/gpu/nvidia-example-80gb.json").read_text())
    assert record["all_passed"] is not fails and record["machine"] == with_a_gpu()
    assert record["parts"]["speed"]["rows"] == [{"ms": 1.5}]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["date"])


def test_some_parts_alone_write_no_result(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_run, "PARTS", (python("one", "raise SystemExit(1)"), python("two", WRITES_ROWS)))
    monkeypatch.setattr(machine, "describe_gpu_machine", with_a_gpu)
    options = ("--out", tmp_path / "out", "--results", tmp_path / "results")
    assert call(monkeypatch, "--only", "two", *options) == 0
    assert "one" not in capsys.readouterr().out and not (tmp_path / "results").exists()
