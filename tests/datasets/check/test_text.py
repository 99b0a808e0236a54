"""Text in other encodings and with blanks, and image files of other extensions: check, training and copy are alike."""

from __future__ import annotations

import shutil

import cv2
import pytest

pytest.importorskip("mmcv")
pytest.importorskip("defusedxml")

from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.logging import MMLogger

from smix_mm.datasets.check import check_data, write_clean_copy
from smix_mm.datasets.check.splits import given_classes
from smix_mm.datasets.check.strict import make_strict
from smix_mm.datasets.check.text import text_lines
from smix_mm.datasets.in_memory.dataset import InMemoryDataset
from smix_mm.utils.errors import DataError

MARK = b"\xef\xbb\xbf"


def training(cells) -> Config:
    return Config(dict(train_dataloader=cells.config()["train_dataloader"]))


def test_marks_line_ends_and_blanks_do_not_belong_to_the_text(cells, tmp_path):
    names = [name.encode() for name in cells.train]
    content = MARK + b"\r\n".join([names[0], b" " + names[1] + b"\t ", MARK + names[2]]) + b"\r" + names[3]
    cells.trainval.write_bytes(content)
    checked = check_data(training(cells), jobs=1)
    assert checked.report.findings == [] and [one.name for one in checked.listings[0].samples] == list(cells.train[:4])
    assert write_clean_copy(checked, tmp_path / "clean") == {}
    assert (tmp_path / "clean/ImageSets/Main/trainval.txt").read_bytes() == b"\n".join(names[:4]) + b"\n"
    cfg = training(cells)
    assert make_strict(cfg) == []
    mmdet = pytest.importorskip("mmdet.datasets")
    dataset = mmdet.VOCDataset(**{k: v for k, v in cfg.train_dataloader.dataset.items() if k != "type"}, pipeline=[])
    assert [dataset.get_data_info(index)["img_id"] for index in range(len(dataset))] == list(cells.train[:4])


@pytest.mark.parametrize("encoding, reason", [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("latin-1", "byte 0xe9")])
def test_a_split_file_in_another_encoding_is_named_and_never_loses_a_sample(cells, tmp_path, encoding, reason):
    cells.trainval.write_bytes("\n".join([*cells.train, "é", ""]).encode(encoding))
    checked = check_data(training(cells), jobs=1)
    (finding,) = checked.report.findings
    assert finding.kind == "wrong-encoding" and reason in finding.detail and "iconv" in finding.detail
    with pytest.raises(DataError, match=rf"trainval.txt is .*{reason}.*, which a cleaned copy cannot fix"):
        write_clean_copy(checked, tmp_path / "clean")
    with pytest.raises(DataError, match=f"trainval.txt: wrong-encoding: .*{reason}"):
        make_strict(training(cells))


def test_an_annotation_in_an_encoding_that_it_does_not_state_is_named_and_stays(cells, tmp_path):
    text = cells.xml(0).read_text().replace("<folder>", "<folder>é")
    cells.xml(0).write_bytes(text.encode("latin-1"))
    cells.xml(1).write_bytes(MARK + cells.xml(1).read_bytes())
    cells.xml(2).write_bytes(cells.xml(2).read_text().encode("utf-16"))
    cells.xml(3).write_bytes(cells.xml(3).read_text().encode("utf-16-le"))
    checked = check_data(training(cells), jobs=1)
    assert [(one.kind, one.file) for one in checked.report.findings] == [("wrong-encoding", str(cells.xml(0)))]
    with pytest.raises(DataError, match="which a cleaned copy cannot fix"):
        write_clean_copy(checked, tmp_path / "clean")
    with pytest.raises(DataError, match=f"{cells.xml(0)}: wrong-encoding: "):
        make_strict(training(cells))


def test_a_list_of_classes_is_read_by_all_as_text_with_a_mark(cells, tmp_path):
    names = tmp_path / "classes.txt"
    names.write_bytes(MARK + b"RBC\r\nWBC \r\nPlatelets")
    cfg = cells.config(classes=str(names))
    assert check_data(cfg, jobs=1).report.findings == [] and make_strict(Config(cfg), parts=("train",)) == []
    assert list_from_file(names) == ["RBC", "WBC", "Platelets"]
    for end in (b"", b"\n", b"\n\n", b"\r\n \n\n"):
        names.write_bytes(b"RBC\n\nWBC " + end)
        assert given_classes(dict(classes=str(names)), "dataset")[0] == list_from_file(names)
    names.write_bytes("Zäpfchen".encode("latin-1"))
    with pytest.raises(
        DataError, match=r"metainfo.classes .* the file .*classes.txt, .*: it is not text in UTF-8 \(byte"
    ):
        make_strict(Config(cfg))
    with pytest.raises(DataError, match=r"classes.txt is not text in UTF-8"):
        list_from_file(names)


def test_lines_are_split_at_line_ends_alone():
    assert text_lines("a\u2028b\x0bc\n\nd".encode()) == ["a\u2028b\x0bc", "", "d"] and text_lines(b"") == []


@pytest.fixture
def picture(cells):
    return cv2.resize(cv2.imread(str(cells.jpg(0))), (64, 48))


@pytest.mark.parametrize("suffix", ["webp", "TIFF", "jp2", "ras", "Jpe"])
def test_images_that_the_dataset_skips_are_named_by_the_check_and_in_training(
    picture, cells, tmp_path, suffix, monkeypatch
):
    mmpretrain = pytest.importorskip("mmpretrain.datasets")
    for label in ("ant", "bee"):
        (tmp_path / "train" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / f"train/{label}/1.png"), picture)
    for number in range(3):
        written = tmp_path / f"train/bee/{number}.{suffix}"
        written.write_bytes(cv2.imencode(f".{suffix.lower()}", picture)[1].tobytes())
    (tmp_path / "train/ant/notes.txt").write_text("no image")
    dataset = dict(type="CustomDataset", data_root=str(tmp_path), data_prefix="train")
    report = check_data(dict(train_dataloader=dict(dataset=dataset)), jobs=1).report
    (finding,) = (one for one in report.findings if one.kind != "duplicate-image")
    assert (finding.kind, finding.file, report.failed) == ("unread-image", str(tmp_path / "train/bee"), True)
    skips = (
        f"holds 3 .{suffix.lower()} files that the dataset skips; add '.{suffix.lower()}' to the dataset's extensions"
    )
    assert finding.detail == skips
    make_strict(Config(dict(train_dataloader=dict(dataset=dataset))))
    warnings: list[str] = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "warning", warnings.append)
    read = mmpretrain.CustomDataset(data_root=str(tmp_path), data_prefix="train")
    assert len(read) == 2 and warnings == [f"{tmp_path}/train/bee {skips}"]
    dataset["extensions"] = (".png", f".{suffix.lower()}")
    assert not [one for one in check_data(dict(train_dataloader=dict(dataset=dataset)), jobs=1).report.findings
                if one.kind == "unread-image"]  # fmt: skip


def test_images_that_the_dataset_in_memory_skips_are_named_in_training(picture, tmp_path):
    for label in ("ant", "bee"):
        (tmp_path / "train" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / f"train/{label}/1.png"), picture)
    cv2.imwrite(str(tmp_path / "train/bee/2.webp"), picture)
    dataset = dict(type="InMemoryDataset", data_root=str(tmp_path))
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    assert make_strict(cfg) == [
        f"{tmp_path}/train/bee: holds 1 .webp file that the dataset skips; convert them to PNG."
    ]
    (tmp_path / "train/bee/1.png").unlink()
    with pytest.raises(DataError, match="train/bee: class-folders: holds no image that is read; add images, or delete"):
        make_strict(cfg)
    with pytest.raises(ValueError, match="train/bee holds no image that is read; add images, or delete"):
        InMemoryDataset(tmp_path, "train", device="cpu")
    # What stops the training is an error of the check, which its copy does not repeat.
    checked = check_data(cfg, jobs=1)
    assert checked.report.failed
    with pytest.raises(DataError, match="train/bee holds no image .* a cleaned copy cannot fix; fix it by hand"):
        write_clean_copy(checked, tmp_path / "copy")


def test_images_that_opencv_does_not_read_or_that_have_no_extension_are_named_as_such(picture, tmp_path):
    folder = tmp_path / "train/ant"
    folder.mkdir(parents=True)
    (folder / "1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    (folder / "2").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    dataset = dict(type="CustomDataset", data_root=str(tmp_path), data_prefix="train")
    checked = check_data(dict(train_dataloader=dict(dataset=dataset)), jobs=1)
    details = [one.detail for one in checked.report.findings if one.kind == "unread-image"]
    assert details == [
        "holds 1 extensionless file that the dataset skips; give them their extension",
        "holds 1 .heic file that the dataset skips; OpenCV does not read them either: convert them to PNG",
    ]


@pytest.mark.parametrize("suffix", [".webp", ".TIF", ".JPEG"])
def test_a_voc_image_of_another_extension_is_named(cells, suffix):
    shutil.move(cells.jpg(0), cells.jpg(0).with_suffix(suffix))
    (finding,) = check_data(training(cells), jobs=1).report.findings
    assert finding.detail == f"does not exist, but {cells.train[0]}{suffix} does"
