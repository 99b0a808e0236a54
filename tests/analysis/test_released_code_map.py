"""The released code's map on one image and over many, and saliency peaks in padding."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import normalize

from smix_mm.analysis.padding_peaks import BEFORE, PADDING_MODES, format_padding, measure_padding
from smix_mm.analysis.released_code_map import (
    RELEASED,
    TRUE,
    Peaks,
    format_peaks,
    measure_released_code_map,
    show_released_code_map,
)
from smix_mm.batch_augments.official import released_code_maps
from smix_mm.saliency import FineGrainedSaliency
from smix_mm.saliency.base import map_extreme
from smix_mm.utils.constants import IMAGENET_MEAN, IMAGENET_STD
from smix_mm.visualization.image_files import list_images

ROOT = Path(__file__).parents[2]
FREE = [f"skimage:{name}" for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")]


def test_the_finding_holds_on_free_photographs(photographs):
    """paper.md's figures at 224 px: correlation 0.01-0.03; in the top tenth 70 % of the peaks, of the true map 19 %."""
    peaks = measure_released_code_map(FREE, crops=40)
    figures = peaks.summary()
    assert (figures["images"], figures["files"], figures["size"]) == (160, 4, 224)
    tenth = figures["share_of_peaks_in_top_tenth_of_rows"]
    assert tenth[RELEASED] > 0.5 and tenth[TRUE] < 0.25
    assert abs(figures["mean_correlation"]) < 0.05
    assert figures["median_distance"] > 0.8 * figures["median_distance_to_peaks_of_other_images"] > 60


def test_the_finding_holds_on_imagenet_photographs(smix_data):
    peaks = measure_released_code_map([smix_data / "imagenet-samples"])
    tenth = peaks.summary()["share_of_peaks_in_top_tenth_of_rows"]
    assert len(peaks.true) == 34 and tenth[RELEASED] > 0.5 > 0.2 > tenth[TRUE]
    assert abs(peaks.summary()["mean_correlation"]) < 0.05


def test_figures_of_known_peaks():
    true, released = np.array([[0, 0], [50, 50], [99, 0]]), np.array([[3, 4], [50, 50], [9, 0]])
    figures = Peaks(100, 2, true, released, np.array([0.5, np.nan, 0.1])).summary()
    assert figures["share_of_peaks_in_top_tenth_of_rows"] == {TRUE: 1 / 3, RELEASED: 2 / 3}
    assert figures["median_distance"] == 5.0
    apart = [
        np.hypot(*(np.array(one) - other)) for i, one in enumerate(true) for j, other in enumerate(released) if i != j
    ]
    assert figures["median_distance_to_peaks_of_other_images"] == pytest.approx(np.median(apart))
    assert figures["mean_correlation"] == pytest.approx(0.3) and figures["median_correlation"] == pytest.approx(0.3)


def test_one_image_is_drawn_with_both_peaks(photographs, tmp_path):
    peaks = show_released_code_map(FREE[0], tmp_path / "map.png", size=96)
    square = cv2.imread(str(list_images(FREE[:1])[0]))[:, :, ::-1]
    image = torch.from_numpy(cv2.resize(square, (96, 96), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)[None]
    assert peaks.true.tolist() == FineGrainedSaliency().peak(image).tolist()
    released = released_code_maps(normalize(image.float(), IMAGENET_MEAN, IMAGENET_STD))
    assert peaks.released.tolist() == map_extreme(released, True, None)[0].tolist()
    with Image.open(tmp_path / "map.png") as drawn:
        assert drawn.width > 500
    assert f"| peak of the true map | row {peaks.true[0, 0]}, column {peaks.true[0, 1]} |" in format_peaks(peaks)


def test_an_image_without_contrast_has_no_correlation(tmp_path):
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((40, 40, 3), 90, np.uint8))
    peaks = show_released_code_map(tmp_path / "flat.png", tmp_path / "map.png", size=32)
    assert peaks.summary()["mean_correlation"] is None
    assert "| correlation of the two maps, mean | - |" in format_peaks(peaks)


@pytest.fixture(scope="module")
def bright(tmp_path_factory) -> Path:
    """Bright images with a spot in the middle: without padding, the peak lies there."""
    folder = tmp_path_factory.mktemp("bright")
    for index in range(40):
        image = np.full((32, 32, 3), 160 + index, np.uint8)
        image[13:19, 13:19] = 250
        cv2.imwrite(str(folder / f"{index:02d}.png"), image)
    return folder


def test_peaks_move_into_black_padding_and_not_into_reflections(bright):
    result = measure_padding([bright], seed=1)
    assert (result["images"], result["height"], result["width"], result["padding"]) == (40, 32, 32, 4)
    shares = result["share_of_peaks_there"]
    assert shares["no padding"] == {"first": 0, "random": 0} and shares["reflection"] == {"first": 0, "random": 0}
    assert shares["zeros"]["first"] > 0.5 and shares[BEFORE] == {"first": 0, "random": 0}
    # Beside it are the next two rows and columns, unless the shift along their axis is 0.
    strips = [(32 - abs(y)) * (32 - abs(x)) for y in range(-4, 5) for x in range(-4, 5)]
    within = [(32 - abs(y) - 2 * (y != 0)) * (32 - abs(x) - 2 * (x != 0)) for y in range(-4, 5) for x in range(-4, 5)]
    assert result["share_of_area_beside"] == pytest.approx((sum(strips) - sum(within)) / 81 / 1024, abs=0.01)
    assert {name: np.sum(peaks) for name, peaks in result["peaks"].items()} == dict.fromkeys(PADDING_MODES, 40)
    # A shift of k of 4 pixels pads k / 32 of a side; the mean over both axes and all 9 shifts is 13.4 %.
    assert result["share_of_area_padded"] == pytest.approx(0.134, abs=0.02)
    assert measure_padding([bright], seed=1) == result


def test_the_padding_finding_holds_on_cifar10(few_cifar10):
    """Measured on 2,000 images: about half of the peaks in 13.5 % of the area."""
    result = measure_padding([few_cifar10 / "train"])
    shares = {name: share["first"] for name, share in result["share_of_peaks_there"].items()}
    assert result["images"] == 240
    assert 0.4 < shares["zeros"] < 0.6 and shares[BEFORE] == 0 and shares["reflection"] < shares["no padding"] < 0.3
    assert "| zeros | 1" in format_padding(result)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda folder: show_released_code_map(folder / "none.png"),
            "none.png does not exist; it should be an image file",
        ),
        (lambda folder: show_released_code_map(folder / "00.png", size=2), "size should be at least 3, got 2"),
        (lambda folder: measure_released_code_map([folder], crops=0), "crops should be at least 1, got 0"),
        (lambda folder: measure_released_code_map([folder], number=0), "number should be at least 1, got 0"),
        (lambda folder: measure_padding([folder], padding=0), "padding should be at least 1, got 0"),
        (
            lambda folder: measure_padding([folder], padding=32),
            "padding should be less than the sides of the images, 32x32, got 32",
        ),
        (
            lambda folder: measure_padding([folder, FREE[0]]),
            "images should have one size, got 32x32 and 512x512 .*astronaut.png",
        ),
        (
            lambda folder: list_images([folder / ".." / "none"]),
            "does not exist; it should be an image file or a folder",
        ),
        (lambda folder: list_images(["skimage:none.png"]), "skimage:none.png does not exist"),
    ],
)
def test_invalid_arguments_are_an_error(photographs, bright, call, message):
    with pytest.raises(ValueError, match=message):
        call(bright)


def test_a_folder_without_images_and_a_damaged_image_are_errors(tmp_path):
    with pytest.raises(ValueError, match="Found no image in"):
        list_images([tmp_path])
    for name in ("a.TIF", "b.jfif", "c.pdf", "d.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images([tmp_path])] == ["a.TIF", "b.jfif"]
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match="bad.jpg cannot be read as an image"):
        show_released_code_map(tmp_path / "bad.jpg")


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["show_released_code_map.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "tools/show_released_code_map.py"), run_name="__main__")
    return ended.value.code


def test_the_command_line_writes_table_json_and_figure_of_each_kind(photographs, bright, monkeypatch, tmp_path, capsys):
    out, data = tmp_path / "out.png", tmp_path / "out.json"
    for arguments, printed, known in (
        ((FREE[0], "--size", 64), "| peak of the released code's map | row", ("images", 1)),
        ((*FREE, "--crops", 3, "--size", 64), "| images | 12, 64x64, cut from 4 files |", ("images", 12)),
        ((bright, "--number", 20, "--size", 32), "in the top tenth of the rows |", ("images", 20)),
        ((bright, "--padding", 3), "| 40 images of 32x32, padded by 3 and cropped |", ("padding", 3)),
    ):
        assert run(monkeypatch, *arguments, "--out", out, "--json", data) == 0
        assert printed in capsys.readouterr().out
        assert json.loads(data.read_text())[known[0]] == known[1]
        with Image.open(out) as drawn:
            assert drawn.format == "PNG"
        out.unlink()


def test_an_error_on_the_command_line_is_one_line_and_status_2(monkeypatch, capsys):
    assert run(monkeypatch, "none.png") == 2
    message = capsys.readouterr().err
    sentence = "none.png does not exist; it should be an image file or a folder of images."
    assert message == f"show_released_code_map.py: {sentence}\n"
