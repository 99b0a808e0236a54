"""The command line of the check: table and exit status."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from smix_mm.cli import run
from smix_mm.datasets.check.findings import KINDS

pytest.importorskip("defusedxml")

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tool(capsys):
    """The command line, without the seconds that starting it takes: exit status, stdout and stderr."""

    def start(*arguments: object) -> tuple[int, str, str]:
        try:
            status = run("check_data", list(map(str, arguments)))
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return start


def test_the_status_is_1_with_a_table_and_0_on_the_cleaned_copy(run_tool, tool, cells, tmp_path, monkeypatch):
    cells.damage()
    config = "configs/bccd/faster-rcnn_r18_fpn_bccd.py"
    out, report = tmp_path / "clean", tmp_path / "findings.json"
    bad = run_tool("tools/check_data.py", config, "--fix", out, "--json", report, SMIX_BCCD=cells.root, check=False)
    assert bad.returncode == 1, bad.stdout
    assert re.search("truncated-image +error +1 +1  JPEG or PNG whose end is missing", bad.stdout)
    assert "9 errors, no remarks; checked: train 10 images" in bad.stdout
    content = json.loads(report.read_text())
    assert content["failed"] and len(content["findings"]) == 9
    monkeypatch.setenv("SMIX_BCCD", str(out))
    monkeypatch.chdir(ROOT)
    status, good, _ = tool(config)
    assert status == 0 and good.startswith("no errors, no remarks; checked: train 4 images")


def test_wrong_use_ends_with_one_sentence_and_status_2(tool, cells, tmp_path):
    config = tmp_path / "config.py"
    config.write_text(f"train_dataloader = {cells.config()['train_dataloader']!r}")
    assert tool(config)[0] == 0
    for arguments, reason in (
        (["none.py"], "config none.py does not exist; give a config file"),
        ([config, "--jobs", 0], "--jobs should be at least 1, got 0."),
        ([config, "--ignore", "boxes"], "ignore should be kinds of errors (missing-split, "),
        ([config, "--fix", cells.root / "x"], "is inside the data root"),
        (
            [config, "--cfg-options", "train_dataloader.dataset.type=CIFAR10"],
            "reads a CIFAR10, which cannot be checked",
        ),
    ):
        status, _, error = tool(*arguments)
        assert status == 2 and reason in error and "Traceback" not in error


def test_control_characters_in_names_are_escaped(tool, cells, tmp_path):
    config = tmp_path / "config.py"
    config.write_text(f"train_dataloader = {cells.config()['train_dataloader']!r}")
    cells.trainval.write_text("\x1b[2Jname\n", encoding="utf-8")
    status, out, _ = tool(config)
    assert status == 2 and "\x1b" not in out and "\\x1b[2Jname.jpg" in out


def test_help_explains_every_kind_and_ends_with_examples(tool):
    status, out, _ = tool("--help")
    assert status == 0 and all(kind in out for kind in KINDS) and "examples:\n  python tools/check_data.py" in out


def test_a_report_overwrites_nothing_but_a_report(tool, cells, tmp_path):
    config = tmp_path / "config.py"
    config.write_text(f"train_dataloader = {cells.config()['train_dataloader']!r}")
    (tmp_path / "link.json").symlink_to(config)
    os.link(cells.xml(0), tmp_path / "hard.json")
    (tmp_path / "own.json").write_text("[1]")
    before = [path.read_bytes() for path in (config, cells.xml(0), cells.trainval)]
    for target in (config, "link.json", "hard.json", "own.json", cells.trainval, "cells/../config.py"):
        status, _, error = tool(config, "--json", tmp_path / target)
        assert status == 2 and "exists and is no report of this tool; name a new file" in error
    assert before == [path.read_bytes() for path in (config, cells.xml(0), cells.trainval)]
    for _ in range(2):
        assert tool(config, "--json", tmp_path / "new.json")[0] == 0


def test_a_drawing_of_detections_overwrites_none_of_its_inputs(tmp_path, capsys):
    detections = tmp_path / "a.npz"
    detections.write_bytes(b"predictions")
    (tmp_path / "out.png").symlink_to(detections)
    assert run("compare_detections", ["config.py", f"a={detections}", "--out", str(tmp_path / "out.png")]) == 2
    assert (
        f"another file than the input {detections}" in capsys.readouterr().err
        and detections.read_bytes() == b"predictions"
    )
