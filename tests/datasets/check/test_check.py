"""The whole check on damaged copies of real data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from smix_mm.datasets.check import check_data

pytest.importorskip("defusedxml")

ROOT = Path(__file__).parents[3]


def found(checked) -> set[tuple[str, str]]:
    return {(finding.kind, Path(finding.file).name) for finding in checked.report.findings}


def test_good_data_pass(cells):
    report = check_data(cells.config(), jobs=1, decode=True).report
    assert not report.failed and report.findings == []
    assert report.images == dict(train=10, val=2, test=2) and report.boxes["train"] > 50
    assert report.text().startswith("no errors, no remarks; checked: train 10 images with ")


@pytest.mark.parametrize("decode", [False, True])
def test_every_damage_is_found_under_its_name_and_nothing_else(cells, decode):
    expected = cells.damage()
    checked = check_data(cells.config(), jobs=2, decode=decode)
    assert found(checked) == expected and checked.report.failed
    assert {finding.splits for finding in checked.report.findings} == {("train",)}
    for kind, name in expected:
        assert f"{kind}: {cells.root}" in checked.report.text() and name in checked.report.text()


def test_equal_length_is_not_equal_content_and_decoding_finds_equal_pixels_in_unequal_files(cells):
    training, other = cells.jpg(0), cells.root / f"JPEGImages/{cells.test[0]}.jpg"
    content = other.read_bytes()
    # A comment inside the file; and a file as long as another one, with other bytes.
    training.write_bytes(content[:2] + b"\xff\xfe\x00\x04hi" + content[2:])
    second = cells.jpg(1)
    second.write_bytes(second.read_bytes().ljust(len(content), b"\0"))
    assert second.stat().st_size == other.stat().st_size
    assert found(check_data(cells.config(), jobs=1)) == set()
    assert found(check_data(cells.config(), jobs=1, decode=True)) == {("in-train-and-test", training.name)}


def test_duplicates_inside_a_split_and_images_without_boxes_are_remarks(cells):
    shutil.copy(cells.jpg(0), cells.jpg(1))
    size = "<size><width>640</width><height>480</height></size>"
    cells.xml(2).write_text(f"<annotation>{size}</annotation>")
    with open(cells.trainval, "a") as file:
        file.write(f"{cells.train[3]}\n")
    report = check_data(cells.config(), jobs=1).report
    assert sorted(finding.kind for finding in report.findings) == ["duplicate-image", "no-boxes", "repeated-name"]
    assert not report.failed and report.text().splitlines()[-1].startswith("no errors, 3 remarks;")
