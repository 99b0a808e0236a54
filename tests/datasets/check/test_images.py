"""Images: whole ones pass; truncated, damaged and unreadable ones are found, by the header alone where possible."""

from __future__ import annotations

import io
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

cv2 = pytest.importorskip("cv2")

from smix_mm.datasets.check.images import capture_decoder_warnings, check_image, is_whole  # noqa: E402
from smix_mm.utils.progress import in_parallel  # noqa: E402


@pytest.fixture(scope="module")
def jpeg(smix_data: Path) -> bytes:
    return (smix_data / "BCCD/JPEGImages/BloodImage_00001.jpg").read_bytes()


@pytest.fixture(scope="module")
def image(jpeg) -> Image.Image:
    return Image.open(io.BytesIO(jpeg))


def encoded(image: Image.Image, format: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def seen(folder: Path, content: bytes, **options):
    """Problems and size of an image file of this content."""
    path = folder / "a.jpg"
    path.write_bytes(content)
    info = check_image(str(path), **options)
    return [problem.kind for problem in info.problems], info.size


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "PPM"])
def test_whole_images_of_every_kind_have_the_size_of_the_decoded_array(image, format, decode, tmp_path):
    assert seen(tmp_path, encoded(image, format), decode=decode) == ([], (640, 480))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_after_the_exif_rotation_unless_the_config_ignores_exif(image, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(image, "JPEG", exif=exif)
    buffer = np.frombuffer(content, np.uint8)
    for follow, flag in ((True, cv2.IMREAD_COLOR), (False, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)):
        height, width = cv2.imdecode(buffer, flag).shape[:2]
        for decode in (False, True):
            assert seen(tmp_path, content, follow_exif=follow, decode=decode) == ([], (width, height))


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_truncated_image_is_found_without_decoding(image, format, tmp_path):
    content = encoded(image, format)
    # Of a PNG, all but its checksum may be there: then nothing of the image is lost.
    for end in (len(content) - (1 if format == "JPEG" else 5), len(content) // 2, 2000, 300, 40):
        assert seen(tmp_path, content[:end]) == (["truncated-image"], None)


def test_bytes_that_a_camera_appends_and_zeros_after_the_end_are_not_a_truncation(jpeg, tmp_path):
    assert seen(tmp_path, jpeg + bytes(5000)) == ([], (640, 480))
    assert seen(tmp_path, jpeg + b"SEFT" * 3000) == ([], (640, 480))


def test_the_end_marker_of_an_embedded_preview_is_not_taken_for_the_images_own(jpeg, image, tmp_path):
    preview = encoded(image.resize((64, 48)), "JPEG")
    segment = b"\xff\xe1" + (len(preview) + 2).to_bytes(2, "big") + preview
    content = jpeg[:2] + segment + jpeg[2:]
    assert seen(tmp_path, content) == ([], (640, 480))
    assert seen(tmp_path, content[:-2]) == (["truncated-image"], None)
    assert seen(tmp_path, content[: len(segment) + 2]) == (["unreadable-image"], None)


def test_zeros_instead_of_the_second_half_are_a_truncation(jpeg, tmp_path):
    half = len(jpeg) // 2
    assert seen(tmp_path, jpeg[:half] + bytes(len(jpeg) - half)) == (["truncated-image"], None)


def test_files_that_are_not_images_are_unreadable_or_missing(tmp_path):
    assert seen(tmp_path, b"") == (["unreadable-image"], None)
    assert seen(tmp_path, b"<html>404</html>") == (["unreadable-image"], None)
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, kind in (("pipe.jpg", "unreadable"), (".", "unreadable"), ("none.jpg", "missing"), ("a\0b", "missing")):
        (problem,) = check_image(str(tmp_path / name)).problems
        assert problem.kind == f"{kind}-image"


def test_a_missing_image_that_exists_with_another_suffix_is_mentioned(tmp_path):
    (tmp_path / "a.JPG").touch()
    assert check_image(str(tmp_path / "a.jpg")).problems[0].detail == "does not exist, but a.JPG does"


def test_lost_data_inside_an_image_is_found_by_decoding_and_bytes_too_many_are_harmless(jpeg, tmp_path):
    contents = [jpeg, jpeg[:5000] + bytes(500) + jpeg[5500:], jpeg[:-2] + b"\0\0\0" + jpeg[-2:]]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    paths = [str(tmp_path / f"{number}.jpg") for number in range(3)]
    assert all(check_image(path).problems == [] for path in paths)
    check = partial(check_image, decode=True)
    found = list(in_parallel(check, paths, jobs=1, initializer=capture_decoder_warnings))
    assert [[problem.kind for problem in info.problems] for info in found] == [[], ["damaged-image"], []]
    assert found[1].problems[0].detail.startswith("Corrupt JPEG data: ")
    assert found[0].digest == found[2].digest != found[1].digest


@settings(max_examples=500, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_disturbed_image_never_raises_and_passes_only_where_its_end_is_there(tmp_path_factory, image, data):
    content = encoded(image.resize((40, 30)), data.draw(st.sampled_from(["JPEG", "PNG"])))
    at, gone = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, len(content)))
    content = content[:at] + data.draw(st.binary(max_size=8)) + content[at + gone :]
    folder = tmp_path_factory.getbasetemp()
    kinds, size = seen(folder, content)
    assert (size is None) == bool(kinds)
    if size is not None:
        assert is_whole(content)
    kinds, size = seen(folder, content, decode=True)
    assert (size is None) == bool(kinds)
