"""The record of a run of `make gpu`, and what the documents and the list of experiments take from it."""

import subprocess
from pathlib import Path

import pytest

from smix_mm.benchmarks.gpu_record import (
    BLOCKS,
    find_row,
    format_run,
    make_record,
    performance_block,
    read_records,
    readme_block,
    slug,
    step_times,
    with_block,
    write_documents,
    write_record,
)
from smix_mm.benchmarks.machine import describe_gpu_machine
from smix_mm.benchmarks.saliency import benchmark_on_device, format_device_table
from smix_mm.utils.errors import DataError

ROOT = Path(__file__).parents[2]


def test_the_file_is_named_after_the_card():
    assert slug("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"
    assert slug(" Some (R) Card/2 ") == "some-r-card-2"


def test_written_records_are_read_again_and_the_latest_run_of_a_card_replaces_an_earlier_one(tmp_path, made_up_record):
    assert read_records(tmp_path) == []
    first, other = made_up_record(), made_up_record("Another Card")
    write_record(tmp_path / "gpu", dict(first, commit="old"))
    write_record(tmp_path / "gpu", other)
    path = write_record(tmp_path / "gpu", first)
    assert path == tmp_path / "gpu/nvidia-example-80gb.json"
    assert read_records(tmp_path) == [other, first]


@pytest.mark.parametrize(
    "text, message", [("{", "card.json should be a JSON file: "), ("[]", "card.json should be a record of")]
)
def test_a_broken_file_is_named(text, message, tmp_path):
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu/card.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_records(tmp_path)


def test_a_record_has_the_commit_and_whether_files_were_changed(tmp_path):
    def git(*command):
        who = ("-c", "user.name=n", "-c", "user.email=e")
        return subprocess.run(["git", *who, *command], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    machine = {"card": "A Card"}
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    record = make_record(machine, {}, tmp_path)
    assert record["commit"] == git("rev-parse", "HEAD").strip() and record["uncommitted_changes"] is False
    (tmp_path / "new.py").write_text("")
    assert make_record(machine, {}, tmp_path)["uncommitted_changes"] is True


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    record = make_record({"card": "A Card"}, {}, tmp_path)
    assert record["commit"] is None and record["uncommitted_changes"] is None


def test_this_machine_is_described(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine = describe_gpu_machine()
    assert machine["card"] is None and machine["torch"] and machine["python"].startswith("3.") and machine["cpus"] >= 1


def test_the_benchmark_of_a_device_returns_such_rows():
    """Run on the CPU, with the same functions."""
    rows = benchmark_on_device("cpu", shapes=[(2, 16, 16)], calls=1, rounds=1)
    record = {"parts": {"saliency": {"rows": rows}}}
    for what in ("map", "peak"):
        row = find_row(record, "saliency", what=what, batch=2, height=16, width=16)
        assert min(row["called_ms"], row["torch_ms"], row["floor_ms"]) > 0 and row["captured_ms"] is None
    assert format_device_table(rows).count("| map | 2x3x16x16 | cpu | - | ") == 1


def test_the_printed_tables_are_the_status_of_each_part_and_those_of_the_benchmarks(made_up_record):
    status, *tables = format_run(made_up_record()).split("\n\n")
    assert status.splitlines()[0] == "| NVIDIA Example 80GB | result |" and len(status.splitlines()) == 2 + 5
    assert "| saliency-tests | passed in 20 s: 63 passed, 0 failed, 1 left out |" in status
    maps, imagenet, fast, cifar = tables
    assert "| map | 256x3x224x224 | cuda | 1.100 | 1.200 | 1.300 | 1.400 |" in maps
    assert (
        "| resnet50_baseline_in1k | SaliencyMix | 256 | 224x224 | cuda | yes | 102.00 | 102.00-102.00 | 1.125 |"
        in imagenet
    )
    assert "| OfficialSaliencyMix | 256 | 224x224 | cuda | yes | not measured |" in imagenet
    assert "| resnet18_saliencymix_cifar10 | cuda | 128 | 3,000 | 3,000-3,000 |" in fast
    assert cifar.count("resnet18_baseline_cifar10") == 4


def test_the_documents_say_not_measured_where_there_is_no_record():
    assert performance_block([]) == "No run of `make gpu` is saved here yet: not measured."
    assert readme_block([]) == "On a GPU: not measured."


def test_the_documents_have_tables_and_a_sentence_for_each_card(made_up_record):
    failing = made_up_record("Another Card")
    failing["parts"]["saliency-tests"]["tests"]["failed"] = 2
    failing["parts"]["fast-path"].update(status="timed out", rows=[])
    block = performance_block([made_up_record(), failing])
    assert block.count("| map | 256x3x224x224 | cuda | 1.100 |") == 2
    assert block.count("| resnet18_saliencymix_cifar10 | cuda | 128 | 3,000 |") == 1
    assert (
        "NVIDIA Example 80GB: driver 1.2, cuda 13.0, torch 2.11.0, triton 3.6.0, python 3.12.3; 2026-11-28, commit "
        "0123456; 63 tests passed, 0 failed, 1 were left out."
    ) in block
    assert "63 tests passed, 2 failed, 1 were left out; not finished: fast-path." in block
    first, second = readme_block([made_up_record(), failing]).splitlines()
    assert first == (
        "On one NVIDIA Example 80GB: the maps of 256 images of 224x224 take 1.100 ms in a CUDA graph, a step of "
        "ResNet-50 with SaliencyMix 1.125 times that with CutMix, the fast CIFAR path trains 3,000 images/s with "
        "SaliencyMix; 63 tests passed, 0 failed, 1 were left out."
    )
    assert "times that with CutMix; 63 tests passed, 2 failed" in second


def test_writing_changes_only_the_text_between_the_marks(tmp_path, made_up_record):
    (tmp_path / "docs").mkdir()
    for name in BLOCKS:
        (tmp_path / name).write_text("before\n\n<!-- gpu: written -->\nold\n<!-- gpu end -->\nafter\n")
    assert sorted(write_documents(tmp_path, tmp_path)) == sorted(tmp_path / name for name in BLOCKS)
    assert write_documents(tmp_path, tmp_path) == []
    write_record(tmp_path / "gpu", made_up_record())
    assert len(write_documents(tmp_path, tmp_path)) == 2
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n\n<!-- gpu: written -->\n\nOn one NVIDIA Example 80GB: ")
    assert text.endswith("\n\n<!-- gpu end -->\nafter\n") and "old" not in text


def test_a_document_without_its_marks_is_refused():
    with pytest.raises(DataError, match="should have"):
        with_block("no marks", "figures")


@pytest.mark.parametrize("name", BLOCKS)
def test_the_documents_have_the_figures_of_the_results(name):
    text = (ROOT / name).read_text("utf-8")
    assert text == with_block(text, BLOCKS[name](read_records(ROOT / "results")))


def test_step_times_are_given_by_config(made_up_record):
    card = "NVIDIA Example 80GB"
    times = step_times(made_up_record())
    assert times["configs/imagenet/resnet50_cutmix_in1k.py"] == dict(seconds=0.101, device=f"{card} in mixed precision")
    assert times["configs/cifar10/resnet18_baseline_cifar10.py"] == dict(seconds=0.036, device=card)
    assert times["configs/cifar10/wrn-28-10_saliencymix_cifar10.py"] == dict(seconds=0.058, device=card)
    assert len(times) == 12 and all((ROOT / config).is_file() for config in times)
