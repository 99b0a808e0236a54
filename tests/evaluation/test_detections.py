"""The file of predictions: whole, equal, or refused."""

import dataclasses
import pickle

import numpy as np
import pytest

from smix_mm.evaluation import Detections, evaluate, read_detections, recompute
from smix_mm.utils.errors import DataError


def test_what_is_read_is_what_was_written(detections, tmp_path):
    detections.write(tmp_path / "detections.npz")
    read = read_detections(tmp_path / "detections.npz")
    for field in dataclasses.fields(Detections):
        written, found = getattr(detections, field.name), getattr(read, field.name)
        np.testing.assert_array_equal(found, written)
        assert np.asarray(found).dtype == np.asarray(written).dtype
    assert recompute(tmp_path / "detections.npz") == evaluate(detections)


def test_equal_content_is_equal_bytes(few_detections, tmp_path):
    for name in ("one.npz", "two.npz"):
        few_detections.write(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_images_without_a_box_are_kept(tmp_path):
    none = dict(boxes=[], scores=[], labels=[], true_boxes=[], true_labels=[], difficult=[])
    Detections.stack(["cell"], [dict(image="a", **none), dict(image=7, **none)]).write(tmp_path / "none.npz")
    read = read_detections(tmp_path / "none.npz")
    assert read.images.tolist() == ["a", "7"]
    assert read.boxes.shape == read.true_boxes.shape == (0, 4)


def test_every_damage_is_found(few_detections, tmp_path):
    path = tmp_path / "detections.npz"
    few_detections.write(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="cannot be read"):
            read_detections(path)
    silent = 0
    for place in rng.integers(len(whole), size=60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            silent += recompute(path) != evaluate(few_detections)
        except DataError:
            continue
    assert silent == 0


def test_files_of_other_kinds_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "other.npz"
    for content in (pickle.dumps({"boxes": [1]}), b"<html>", b"PK\x03\x04", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"other.npz cannot be read \(\w+; it is damaged or not written by Detec"):
            read_detections(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="cannot be read"):
        read_detections(path)


def test_a_file_with_objects_in_it_is_not_opened(tmp_path):
    np.savez(tmp_path / "objects.npz", format=np.array([print], object))
    with pytest.raises(DataError, match="cannot be read"):
        read_detections(tmp_path / "objects.npz")


def test_another_format_and_a_missing_file_are_named(few_detections, tmp_path):
    few_detections.write(tmp_path / "old.npz")
    with np.load(tmp_path / "old.npz") as file:
        np.savez(tmp_path / "new.npz", **{**file, "format": 2})
    with pytest.raises(DataError, match="should be 1, got 2"):
        read_detections(tmp_path / "new.npz")
    with pytest.raises(DataError, match="none.npz does not exist"):
        read_detections(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(scores=np.zeros(3, np.float32)), r"scores should be float32 \(104,\), got float32 \(3,\)"),
        (dict(labels=np.int64), r"labels should be int16 \(\d+,\), got int64"),
        (dict(classes=("v", "w")), "labels should be in 0 to 1, got 0 to 4"),
        (dict(boxes=np.nan), "boxes of image 0+ should be finite, got NaN or infinity"),
        (dict(true_boxes=np.inf), "true_boxes of image 0+ should be finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(few_detections, change, message):
    (name, value), *_ = change.items()
    if isinstance(value, type):
        change = {name: getattr(few_detections, name).astype(value)}
    elif isinstance(value, float):
        array = getattr(few_detections, name).copy()
        array[0, 2] = value
        change = {name: array}
    with pytest.raises(DataError, match=message):
        dataclasses.replace(few_detections, **change)
