"""Each data set, from made-up archives in its publisher's format to the folder that the configs read; and its check."""

from __future__ import annotations

import hashlib
import pickle
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

pytest.importorskip("torchvision")
pytest.importorskip("mmpretrain")
pytest.importorskip("cv2")

import cv2
from PIL import Image
from torchvision import datasets

from smix_mm.cli import run
from smix_mm.datasets.check.checker import _check_sample
from smix_mm.datasets.check.splits import Sample, Split
from smix_mm.datasets.prepare import DATA_SETS, EXPECTED, check_prepared, prepare_data
from smix_mm.datasets.prepare.data_set import Counts, _read_images
from smix_mm.utils.errors import DataError

NAMES = ["ant", "bee"]
PIXELS = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
main = partial(run, "prepare_data")


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def cifar(tmp_path, monkeypatch, tar):
    """A small CIFAR-10 archive, which torchvision takes for the published one: 30 and 6 images of 2 classes."""
    rng = np.random.default_rng(0)
    published = datasets.CIFAR10
    members = {published.meta["filename"]: pickle.dumps({"label_names": NAMES}, protocol=2)}
    for name, _ in published.train_list + published.test_list:
        content = {"data": rng.integers(0, 256, (6, 3072), np.uint8), "labels": [0, 1, 1, 0, 1, 0]}
        members[name] = pickle.dumps(content, protocol=2)
    archive = tmp_path / "served" / published.filename
    archive.parent.mkdir()
    archive.write_bytes(tar({f"cifar-10-batches-py/{name}": content for name, content in members.items()}, "w:gz"))
    for listed in ("train_list", "test_list"):
        monkeypatch.setattr(published, listed, [[name, md5(members[name])] for name, _ in getattr(published, listed)])
    monkeypatch.setattr(published, "meta", {**published.meta, "md5": md5(members[published.meta["filename"]])})
    monkeypatch.setattr(published, "tgz_md5", md5(archive.read_bytes()))
    monkeypatch.setattr(published, "url", "http://127.0.0.1:1/never-asked")
    monkeypatch.setitem(EXPECTED, "cifar10", Counts(2, dict(train=30, test=6), "this test"))
    return archive


def test_one_command_downloads_cifar_and_a_second_one_does_not(cifar, tmp_path, monkeypatch, capfd):
    handler = partial(SimpleHTTPRequestHandler, directory=str(cifar.parent))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *arguments: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{cifar.name}")
        root = tmp_path / "data"
        assert main(["cifar10", "--root", str(root), "--check"]) == 0
        server.shutdown()
    result = "cifar10 is complete: 2 classes, 30 images in train, 6 in test; every image opens"
    assert capfd.readouterr().out.splitlines() == [f"cifar10: ready in {root}/cifar10", result]
    assert datasets.CIFAR10(str(root / "cifar10"), train=True).data.shape == (30, 32, 32, 3)
    assert [path.name for path in (root / "cifar10").iterdir()] == ["cifar-10-batches-py"]
    assert main(["cifar10", "--root", str(root), "--check"]) == 0, "without a server, because all is there"
    assert capfd.readouterr().out.splitlines() == [f"cifar10: {root}/cifar10 already exists", result]


def test_without_a_network_the_command_ends_with_one_sentence(cifar, tmp_path, capfd):
    assert main(["cifar10", "--root", str(tmp_path / "data")]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("prepare_data.py: no connection to 127.0.0.1:1 (") and "--from" in line


def test_the_check_finds_what_is_wrong_with_cifar(cifar, tmp_path):
    root = tmp_path / "data"
    prepare_data("cifar10", root, sources=[cifar])
    for split, number in (("train", 30), ("test", 6)):
        for name, place in ((name, place) for name in NAMES for place in range(number // 2)):
            (root / "cifar10" / split / name).mkdir(parents=True, exist_ok=True)
            (root / f"cifar10/{split}/{name}/{place}.png").write_bytes(cv2.imencode(".png", PIXELS)[1].tobytes())
    assert check_prepared("cifar10", root).complete
    batch = root / "cifar10/cifar-10-batches-py/data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-1])
    broken = sorted((root / "cifar10/train/bee").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:700])
    errors = check_prepared("cifar10", root).errors
    assert errors[0].startswith(f"train/bee/{broken.name} ends after 700 bytes")
    assert errors[1:] == ["cifar-10-batches-py/data_batch_3 is missing, damaged or not the published file"]
    for path in (root / "cifar10/test/ant").iterdir():
        path.unlink()
    result = check_prepared("cifar10", root)
    assert result.errors[:2] == ["test has 3 images, expected 6", f"train/bee/{broken.name} ends after 700 bytes "
                                 "without its end marker"]  # fmt: skip
    assert result.errors[2] == "test/ant holds no image that is read"
    assert result.line().startswith("cifar10 is incomplete or damaged: test has 3 images, expected 6; ")
    assert result.line().endswith(" and 1 more")
    assert main(["cifar10", "--root", str(root), "--check"]) == 1


def test_an_interrupted_extraction_is_started_again(cifar, tmp_path, monkeypatch):
    root = tmp_path / "data"
    left = root / "cifar10/.cifar-10-batches-py.unpacking/half"
    left.parent.mkdir(parents=True)
    left.write_text("of an earlier run")
    prepare_data("cifar10", root, sources=[cifar.parent])
    assert [path.name for path in (root / "cifar10").iterdir()] == ["cifar-10-batches-py"]


def test_what_a_killed_run_leaves_after_its_last_step_is_cleared_by_the_next_one(cifar, tmp_path):
    root = tmp_path / "data"
    prepare_data("cifar10", root, sources=[cifar])
    (root / "cifar10/.cifar-10-batches-py.unpacking/half").mkdir(parents=True)
    prepare_data("cifar10", root)
    assert [path.name for path in (root / "cifar10").iterdir()] == ["cifar-10-batches-py"]


def test_a_download_that_was_given_up_is_cleared(cifar, tmp_path):
    part = tmp_path / f"data/downloads/{cifar.name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    prepare_data("cifar10", tmp_path / "data", sources=[cifar])
    assert list(part.parent.iterdir()) == []


@pytest.mark.parametrize("kind, reason", [("link", "a link to /none/such, which does not exist"), ("file", "a file")])
def test_a_place_that_is_no_folder_is_refused_and_stays(cifar, tmp_path, kind, reason):
    place = tmp_path / "data/cifar10/cifar-10-batches-py"
    place.parent.mkdir(parents=True)
    place.symlink_to("/none/such") if kind == "link" else place.touch()
    with pytest.raises(DataError, match=f"cifar-10-batches-py should be a folder or not exist, got {reason}"):
        prepare_data("cifar10", tmp_path / "data", sources=[cifar])
    assert place.is_symlink() or place.is_file()


@pytest.fixture
def voc(tmp_path, monkeypatch, image, tar):
    """Small archives of VOC2007's trainval and test: 3 and 2 images."""
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    archives = []
    for key, split, stems in (("2007", "trainval", ("1", "2", "3")), ("2007-test", "test", ("4", "5"))):
        members = {f"ImageSets/Main/{split}.txt": "\n".join(stems).encode()}
        for stem in stems:
            members[f"JPEGImages/{stem}.jpg"] = image(int(stem))
            name = NAMES[int(stem) % 2]
            members[f"Annotations/{stem}.xml"] = (
                "<annotation><size><width>16</width><height>16</height></size>"
                f"<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
                "</object></annotation>"
            ).encode()
        archive = tmp_path / DATASET_YEAR_DICT[key]["filename"]
        archive.write_bytes(tar({f"VOCdevkit/VOC2007/{name}": content for name, content in members.items()}))
        monkeypatch.setitem(DATASET_YEAR_DICT[key], "md5", md5(archive.read_bytes()))
        archives.append(archive)
    monkeypatch.setitem(EXPECTED, "voc2007", Counts(2, dict(trainval=3, test=2), "this test"))
    return archives


def test_voc_has_trainval_and_test_where_the_configs_read_them(voc, tmp_path):
    folder = prepare_data("voc2007", tmp_path / "data", sources=voc)
    assert folder == tmp_path / "data/VOCdevkit/VOC2007"
    assert sorted(path.name for path in folder.iterdir()) == ["Annotations", "ImageSets", "JPEGImages"]
    assert sorted(path.name for path in (folder / "ImageSets/Main").iterdir()) == ["test.txt", "trainval.txt"]
    assert [path.name for path in folder.parent.iterdir()] == ["VOC2007"]
    line = check_prepared("voc2007", tmp_path / "data").line()
    assert line == "voc2007 is complete: 2 classes, 3 images in trainval, 2 in test; every image opens"


def test_the_check_finds_what_is_wrong_with_voc(voc, tmp_path):
    folder = prepare_data("voc2007", tmp_path / "data", sources=voc)
    (folder / "JPEGImages/2.jpg").unlink()
    (folder / "JPEGImages/3.jpg").write_bytes(b"no image")
    (folder / "Annotations/1.xml").unlink()
    (folder / "Annotations/5.xml").write_text("<annotation>")
    result = check_prepared("voc2007", tmp_path / "data")
    assert [error.partition(":")[0] for error in result.errors] == [
        "Annotations/1.xml does not exist", "JPEGImages/2.jpg does not exist",
        "JPEGImages/3.jpg OpenCV cannot decode it", "Annotations/5.xml no element found",
    ]  # fmt: skip
    assert not check_prepared("voc2012", tmp_path / "data").complete


def test_real_photographs_in_voc_layout_pass_the_check(smix_data, monkeypatch):
    monkeypatch.setitem(EXPECTED, "voc2012", Counts(16, dict(trainval=48), "this test"))
    assert check_prepared("voc2012", smix_data).errors == []


def test_the_validation_images_of_tiny_imagenet_are_moved_into_class_folders(tmp_path, monkeypatch, image):
    archive = tmp_path / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for number, wnid in enumerate(("n00000001", "n00000002")):
            opened.writestr(f"tiny-imagenet-200/train/{wnid}/images/{wnid}_0.JPEG", image(number))
            opened.writestr(f"tiny-imagenet-200/train/{wnid}/{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t0\t9\t9\n")
            opened.writestr(f"tiny-imagenet-200/val/images/val_{number}.JPEG", image(9 + number))
        lines = "val_0.JPEG\tn00000002\t0\t0\t9\t9\nval_1.JPEG\tn00000001\t0\t0\t9\t9\n"
        opened.writestr("tiny-imagenet-200/val/val_annotations.txt", lines)
    monkeypatch.setitem(EXPECTED, "tiny-imagenet", Counts(2, dict(train=2, val=2), "this test"))
    folder = prepare_data("tiny-imagenet", tmp_path / "data", sources=[archive])
    assert (folder / "val/n00000002/val_0.JPEG").read_bytes() == image(9)
    assert not (folder / "val/images").exists()
    assert check_prepared("tiny-imagenet", tmp_path / "data").complete
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("tiny-imagenet-200/val/images/val_2.JPEG", image(3))
    with pytest.raises(DataError, match=r"should be Stanford's tiny-imagenet-200.zip, but cannot be read \(.*images"):
        prepare_data("tiny-imagenet", tmp_path / "again", sources=[archive])
    assert not any((tmp_path / "again").iterdir())


@pytest.mark.parametrize("name", ["imagenet", "tiny-imagenet"])
def test_data_with_terms_of_access_is_an_error_that_says_what_to_do(name, tmp_path, capsys):
    assert main([name, "--root", str(tmp_path / "data")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    for expected in (f"is neither in {tmp_path}/data/downloads", "https://image-net.org/", "--from", "terms of access"):
        assert expected in line


def test_wrong_use_is_an_error_before_anything_happens(tmp_path, capsys):
    assert main(["cifar10", "--root", str(tmp_path / "data"), "--from", str(tmp_path / "nothing")]) == 2
    assert "nothing does not exist; give an archive of cifar10" in capsys.readouterr().err
    for name, option in (("voc2007", "1"), ("imagenet", "101")):
        assert main([name, "--root", str(tmp_path / "data"), "--pack", "--quality", option]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "prepare_data.py: only imagenet and tiny-imagenet can be packed, got voc2007",
        "prepare_data.py: short side and quality should be at least 1, and from 1 to 100, got 256 and 101",
    ]
    with pytest.raises(ValueError, match="data set should be one of cifar10, .* got 'mnist'"):
        prepare_data("mnist", tmp_path)
    assert not (tmp_path / "data").exists()


def test_every_data_set_has_its_counts_with_their_source():
    assert set(EXPECTED) == set(DATA_SETS) - {"released-backbones"}
    assert all(counts.source and counts.classes for counts in EXPECTED.values())
    trained = EXPECTED["voc2007"].images["trainval"] + EXPECTED["voc2012"].images["trainval"]
    assert trained == 16_551, "the number that VOC07+12 is known by"


@pytest.mark.long
def test_the_tool_is_the_same_command(run_tool, tmp_path):
    refused = run_tool("tools/prepare_data.py", "cifar10", "--from", tmp_path / "nothing", check=False)
    assert refused.returncode == 2 and refused.stdout.splitlines()[-1].startswith("prepare_data.py: ")
    assert "examples:\n  python tools/prepare_data.py cifar10" in run_tool("tools/prepare_data.py", "--help").stdout


def test_good_images_share_one_result_and_bad_ones_keep_theirs(tmp_path):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.new("RGB", (8, 8)).save(good)
    bad.write_bytes(b"no image")
    split = Split(("train",), "folders", "", "", str(tmp_path))
    pairs = [(split, Sample(path.name, str(path))) for path in (good, good, bad)]
    first, second, third = _read_images(partial(_check_sample, True, frozenset()), pairs)
    assert first is second and not first.problems and [one.kind for one in third.problems] == ["unreadable-image"]
