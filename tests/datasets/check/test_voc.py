"""Annotations: what is found in them, what is fixed, and that hostile ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smix_mm.datasets.check.findings import ERRORS, KINDS
from smix_mm.datasets.check.text import MAX_BYTES, read_annotation
from smix_mm.datasets.check.voc import as_bytes, clean_annotation

pytest.importorskip("defusedxml")

CLASSES = ("RBC", "WBC")
SIZE = (640, 480)


def box(*corners: object, name: str = "<name>RBC</name>", more: str = "") -> str:
    fields = "".join(f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners))
    return f"<object>{name}{more}<bndbox>{fields}</bndbox></object>"


def xml(*objects: str, size: str = "<size><width>640</width><height>480</height></size>") -> bytes:
    return f"<annotation>{size}{''.join(objects)}</annotation>".encode()


def found(content: bytes, **options) -> list[tuple[str, str]]:
    return [(p.kind, p.fixed) for p in clean_annotation(content, CLASSES, size=SIZE, **options).problems]


GOOD = box(1, 1, 640, 480)
DROPPED = "object dropped"


@pytest.mark.parametrize(
    "objects, problems, boxes",
    [
        ([GOOD, box(" 10 ", "20.9", 30, 40)], [], [(1, 1, 640, 480), (10, 20, 30, 40)]),
        ([GOOD, box(504, 337, 504, 337)], [("box-without-area", DROPPED)], [(1, 1, 640, 480)]),
        ([GOOD, box(30, 20, 10, 40)], [("box-without-area", DROPPED)], [(1, 1, 640, 480)]),
        ([box(0, 1, 5, 5)], [("box-outside", "box clipped")], [(1, 1, 5, 5)]),
        ([box(600, 400, 641, 481)], [("box-outside", "box clipped")], [(600, 400, 640, 480)]),
        ([GOOD, box(641, 1, 700, 5)], [("box-outside", DROPPED)], [(1, 1, 640, 480)]),
        ([GOOD, box(1, 1, "nan", 5)], [("not-a-number", DROPPED)], [(1, 1, 640, 480)]),
        ([GOOD, box(1, 1, "1e999", 5)], [("not-a-number", DROPPED)], [(1, 1, 640, 480)]),
        ([GOOD, box(1, 1, 5)], [("missing-field", DROPPED)], [(1, 1, 640, 480)]),
        ([GOOD, "<object><name>RBC</name></object>"], [("missing-field", DROPPED)], [(1, 1, 640, 480)]),
        ([GOOD, box(1, 1, 5, 5, name="")], [("missing-field", DROPPED)], [(1, 1, 640, 480)]),
        ([GOOD, box(1, 1, 5, 5, name="<name>RBC </name>")], [("unknown-class", DROPPED)], [(1, 1, 640, 480)]),
        ([box(1, 1, 5, 5, more="<difficult>no</difficult>")], [("not-a-number", "field removed")], [(1, 1, 5, 5)]),
        ([], [("no-boxes", "")], []),
    ],
)
def test_objects_are_checked_as_mmdetection_reads_them_and_fixed(objects, problems, boxes):
    annotation = clean_annotation(xml(*objects), CLASSES, size=SIZE)
    assert [(problem.kind, problem.fixed) for problem in annotation.problems] == problems
    assert annotation.boxes == boxes
    again = clean_annotation(as_bytes(annotation), CLASSES, size=SIZE)
    assert again.boxes == boxes and not any(problem.kind in ERRORS for problem in again.problems)


@pytest.mark.parametrize(
    "size, problem",
    [
        ("<size><width>480</width><height>640</height></size>", ("size-differs", "size corrected")),
        ("<size><width>0</width><height>0</height></size>", ("size-differs", "size corrected")),
        ("<size><width>640.0</width><height>480</height></size>", ("not-a-number", "size corrected")),
        ("<size><height>480</height></size>", ("missing-field", "size corrected")),
        ("", ("no-size", "size corrected")),
    ],
)
def test_the_size_is_set_to_the_images(size, problem):
    assert found(xml(GOOD, size=size)) == [problem]


def test_a_size_from_before_the_exif_rotation_is_not_fixed_because_the_boxes_may_not_follow():
    turned = "<size><width>480</width><height>640</height></size>"
    assert found(xml(box(1, 1, 5, 5), size=turned), rotated=True) == [("size-differs", "")]


def test_ignored_kinds_are_reported_and_not_fixed():
    content = xml(GOOD, box(1, 1, 5, 5, name="<name>Dust</name>"), box(0, 1, 5, 5))
    ignored = ("unknown-class", "box-outside")
    assert found(content, ignore=ignored) == [("unknown-class", ""), ("box-outside", "")]
    assert b"Dust" in as_bytes(clean_annotation(content, CLASSES, size=SIZE, ignore=ignored))


LAUGHS = b'<!DOCTYPE a [<!ENTITY l0 "ha">' + b"".join(
    b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 10)
)


@pytest.mark.parametrize(
    "content, kind",
    [
        (LAUGHS + b"]><annotation><object><name>&l9;</name></object></annotation>", "hostile-xml"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>', "hostile-xml"),
        (b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://localhost/x.dtd"> %x;]><annotation/>', "hostile-xml"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotation><size/></annotation>'.encode("utf-16"), "hostile-xml"),
        (b"<annotation><size>", "malformed-xml"),
        (b"", "malformed-xml"),
        (b"\xff\xd8\xff\xe0 an image", "malformed-xml"),
        (b"<?xml version='1.0' encoding='none-such'?><annotation/>", "malformed-xml"),
        (b"<html><body>404</body></html>", "malformed-xml"),
    ],
)  # fmt: skip
def test_hostile_and_malformed_files_are_refused_and_not_cleaned(content, kind):
    annotation = clean_annotation(content, CLASSES, size=SIZE)
    assert [problem.kind for problem in annotation.problems] == [kind]
    assert not annotation.parsed and annotation.boxes == []


def test_files_that_cannot_be_read_are_problems(tmp_path):
    (tmp_path / "large.xml").touch()
    with open(tmp_path / "large.xml", "r+b") as file:
        file.truncate(MAX_BYTES + 1)
    kinds = [read_annotation(str(tmp_path / name)).kind for name in ("none.xml", "large.xml", ".", "a\0b")]
    assert kinds == ["missing-annotation", "malformed-xml", "malformed-xml", "missing-annotation"]


NUMBERS = st.one_of(
    st.integers(-3, 700).map(str),
    st.sampled_from(["1", "480", "640", "641", "0", "-1", "12.7", "nan", "inf", "-inf", "1e999", "1e300", "abc"]),
    st.sampled_from(["", " 7 ", "1_0", "١٢", "0x10", "9" * 5000, "<!-- c -->12", "<b>1</b>"]),
)
NAMES = st.sampled_from(
    ["<name>RBC</name>"] * 6 + ["<name>WBC</name>", "<name>Dust</name>", "<name/>", "", "<name> RBC</name>"]
)


@st.composite
def fields(draw, names: tuple[str, ...], values) -> str:
    """Elements of the given names, now and then one too few or too many."""
    written = [f"<{name}>{draw(values)}</{name}>" for name in names]
    if draw(st.integers(0, 9)) == 0:
        written.pop(draw(st.integers(0, len(written) - 1)))
    if draw(st.integers(0, 9)) == 0:
        written.append(draw(st.sampled_from(written)) if written else "")
    return "".join(written)


@st.composite
def documents(draw) -> bytes:
    """Annotations that are mostly well-formed and often wrong; a quarter has its bytes disturbed."""
    objects = []
    for _ in range(draw(st.integers(0, 3))):
        corners = draw(fields(("xmin", "ymin", "xmax", "ymax"), NUMBERS))
        difficult = draw(
            st.sampled_from(["", "", "<difficult>1</difficult>", "<difficult>x</difficult>", "<difficult/>"])
        )
        bndbox = draw(
            st.sampled_from([f"<bndbox>{corners}</bndbox>"] * 8 + ["", f"<bndbox/><bndbox>{corners}</bndbox>"])
        )
        objects.append(f"<object>{draw(NAMES)}{difficult}{bndbox}</object>")
    right = "<size><width>640</width><height>480</height></size>"
    size = draw(st.sampled_from([right] * 3 + ["", f"<size>{draw(fields(('width', 'height'), NUMBERS))}</size>"]))
    content = xml(*objects, size=size)
    if draw(st.integers(0, 3)) == 0:
        at, gone = draw(st.integers(0, len(content))), draw(st.integers(0, 8))
        content = content[:at] + draw(st.binary(max_size=6)) + content[at + gone :]
    return content


@pytest.fixture(scope="module")
def read_by_mmdet(smix_data: Path, tmp_path_factory):
    """What MMDetection's own reader makes of an annotation of an image of 640x480: size and 1-based boxes."""
    pytest.importorskip("mmdet")
    from mmdet.datasets import VOCDataset

    root = tmp_path_factory.mktemp("voc")
    image = smix_data / "BCCD/JPEGImages/BloodImage_00001.jpg"
    dataset = VOCDataset(lazy_init=True, metainfo=dict(classes=CLASSES), data_prefix=dict(sub_data_root=str(root)))
    dataset.cat2label = {name: label for label, name in enumerate(CLASSES)}

    def read(content: bytes):
        (root / "a.xml").write_bytes(content)
        info = dataset.parse_data_info(dict(img_id="a", file_name=str(image), xml_path=str(root / "a.xml")))
        boxes = [tuple(corner + 1 for corner in instance["bbox"]) for instance in info["instances"]]
        return (info["width"], info["height"]), boxes

    return read


@settings(max_examples=2000, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(content=documents())
def test_a_good_or_cleaned_annotation_is_read_by_mmdetection_with_the_same_boxes(read_by_mmdet, content):
    annotation = clean_annotation(content, CLASSES, size=SIZE)
    kinds = {problem.kind for problem in annotation.problems}
    assert kinds <= set(KINDS)
    assert all(1 <= x1 < x2 <= 640 and 1 <= y1 < y2 <= 480 for x1, y1, x2, y2 in annotation.boxes)
    if not annotation.parsed or any(p.kind in ERRORS and not p.fixed for p in annotation.problems):
        assert kinds & set(ERRORS)
        return
    cleaned = as_bytes(annotation)
    again = clean_annotation(cleaned, CLASSES, size=SIZE)
    assert again.boxes == annotation.boxes and not any(problem.kind in ERRORS for problem in again.problems)
    assert read_by_mmdet(cleaned) == (SIZE, annotation.boxes)
    if not annotation.changed:
        assert read_by_mmdet(content) == (SIZE, annotation.boxes)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(content=st.binary(max_size=400) | st.text(alphabet="<>/&;![]-?\"'% aobjectndxsize\n").map(str.encode))
def test_any_bytes_result_in_problems_and_never_in_an_exception(content):
    annotation = clean_annotation(content, CLASSES)
    assert annotation.problems and annotation.boxes == []
