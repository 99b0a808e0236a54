"""Packed images: the samples of the folders in their order, resumed after a kill, and every bad record named."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("lmdb")

import lmdb
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.datasets import ImageNet
from mmpretrain.registry import DATASETS

from smix_mm.cli import run
from smix_mm.datasets.check.strict import StrictLoadImage
from smix_mm.datasets.fast_images.loading import LoadRandomResizedCrop
from smix_mm.datasets.prepare import EXPECTED, check_prepared, pack_data
from smix_mm.datasets.prepare.data_set import Counts
from smix_mm.utils.errors import DataError, PackageError, UsageError

ROOT = Path(__file__).parents[3]
CLASSES = ("n00000001", "n00000002", "n00000003")
# Height and width by name; the second is smaller than what is packed.
SIZES = {"b c.JPEG": (70, 90), "a.JPEG": (40, 90), "deep/z.JPEG": (90, 60), "y.png": (50, 80)}
PACK = dict(short_side=48, quality=90, log=lambda line: None)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    random = np.random.default_rng(0)
    for split, names in (("train", SIZES), ("val", list(SIZES)[:2])):
        for wnid in CLASSES:
            for name in names:
                path = tmp_path / "imagenet" / split / wnid / name
                path.parent.mkdir(parents=True, exist_ok=True)
                coarse = random.integers(0, 256, (5, 6, 3), np.uint8)
                cv2.imwrite(str(path), cv2.resize(coarse, SIZES[name][::-1], interpolation=cv2.INTER_CUBIC))
    monkeypatch.setitem(EXPECTED, "imagenet", Counts(3, dict(train=12, val=6), "this test"))
    return tmp_path


def record(folder: Path, key: str, split: str = "train") -> bytes | None:
    """A record; a process can open a database only once, so mmengine's backend must not have read it."""
    with lmdb.open(str(folder / f"{split}.lmdb"), readonly=True, lock=False) as opened, opened.begin() as reader:
        return reader.get(key.encode())


def change(folder: Path, key: str, content: bytes | None) -> None:
    with lmdb.open(str(folder / "train.lmdb"), map_size=1 << 30) as opened, opened.begin(write=True) as writer:
        writer.delete(key.encode())
        if content is not None:
            writer.put(key.encode(), content)


@pytest.mark.parametrize("split", ["train", "val"])
def test_samples_labels_classes_and_order_are_those_of_the_folders(root, split):
    packed = pack_data("imagenet", root, **PACK)
    metainfo = dict(metainfo=dict(classes=CLASSES), pipeline=[])
    files = ImageNet(data_root=str(root / "imagenet"), split=split, **metainfo)
    records = ImageNet(ann_file=str(packed / f"{split}.txt"), **metainfo)
    assert len(files) == len(records) == (12 if split == "train" else 6)
    for number in range(len(files)):
        one, other = files.get_data_info(number), records.get_data_info(number)
        assert one["img_path"] == str(root / "imagenet" / split / other["img_path"])
        assert one["gt_label"] == other["gt_label"] and record(packed, other["img_path"], split)
    assert (packed / "classes.txt").read_text().split() == list(files.folder_to_idx) == list(CLASSES)


def test_small_jpegs_are_kept_and_others_get_the_short_side(root):
    packed = pack_data("imagenet", root, **PACK)
    for name, (height, width) in SIZES.items():
        key = f"{CLASSES[1]}/{name}"
        source, content = root / "imagenet/train" / key, record(packed, key)
        if name == "a.JPEG":
            assert content == source.read_bytes()
            continue
        factor = 48 / min(height, width)
        size = round(width * factor), round(height * factor)
        small = cv2.resize(cv2.imread(str(source)), size, interpolation=cv2.INTER_AREA)
        assert content == cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        assert (
            min(size) == 48 and np.abs(cv2.imdecode(np.frombuffer(content, np.uint8), 1) - small.astype(int)).mean() < 4
        )


def test_the_configs_read_packed_images(root, monkeypatch):
    packed = pack_data("imagenet", root, **PACK)
    monkeypatch.setenv("SMIX_IMAGENET_PACKED", str(packed))
    cfg = Config.fromfile(ROOT / "configs/imagenet/fast/resnet50-100e_baseline_in1k.py")
    init_default_scope("mmpretrain")
    train, val = (DATASETS.build(loader.dataset) for loader in (cfg.train_dataloader, cfg.val_dataloader))
    sample = train[3]
    assert sample["inputs"].shape == (3, 224, 224) and sample["data_samples"] == 0 and len(train) == 12
    assert val[0]["inputs"].shape == (3, 224, 224) and val[5]["data_samples"].gt_label.item() == 2


def test_a_killed_pack_is_resumed_with_the_same_result(root, tmp_path):
    expected = {f"{wnid}/{name}": None for wnid in CLASSES for name in SIZES}
    program = f"""
import os, signal, sys
import smix_mm.datasets.prepare.pack
from smix_mm.datasets.prepare import EXPECTED, pack_data
from smix_mm.datasets.prepare.data_set import Counts
EXPECTED["imagenet"] = Counts(3, dict(train=12, val=6), "this test")
module = sys.modules["smix_mm.datasets.prepare.pack"]
module._CHUNK, whole = 3, module.in_parallel
def read(*arguments, **options):
    for number, content in enumerate(whole(*arguments, **options)):
        if number == 7:
            os.killpg(0, signal.SIGKILL)
        yield content
module.in_parallel = read
pack_data("imagenet", {str(root)!r}, short_side=48, quality=90)
"""
    # In its own session, so that its processes are killed with it.
    command = [sys.executable, "-c", program]
    killed = subprocess.run(command, cwd=ROOT, start_new_session=True, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    unfinished = root / ".imagenet-packed.packing"
    assert not (root / "imagenet-packed").exists()
    done = [key for key in expected if record(unfinished, key)]
    assert len(done) == 6
    # Images that are packed are not read again.
    for key in done:
        (root / "imagenet/train" / key).write_bytes(b"changed")
    with pytest.raises(
        UsageError, match="was begun with short side 48 and quality 90, got 64 and 90; give the same ones, or delete"
    ):
        pack_data("imagenet", root, **{**PACK, "short_side": 64})
    packed = pack_data("imagenet", root, **PACK)
    assert not unfinished.exists() and all(record(packed, key) for key in expected)
    assert check_prepared("imagenet", root, packed=True).complete


def test_a_missing_or_damaged_record_is_named_by_the_check_and_by_the_loading(root):
    packed = pack_data("imagenet", root, **PACK)
    assert check_prepared("imagenet", root, packed=True).line() == (
        f"imagenet is complete: 3 classes, 12 images in train, 6 in val in {packed}; every record has its CRC-32"
    )
    missing, damaged, short = (f"{CLASSES[0]}/{name}" for name in list(SIZES)[:3])
    content = record(packed, damaged)
    middle = len(content) // 2
    change(packed, missing, None)
    change(packed, damaged, content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    change(packed, short, record(packed, short)[:-40])
    assert check_prepared("imagenet", root, packed=True).errors == [
        f"train.lmdb: {damaged} is damaged",
        f"train.lmdb: {missing} is missing",
        f"train.lmdb: {short} is damaged",
    ]
    database = str(packed / "train.lmdb")
    for load in (StrictLoadImage, lambda **options: LoadRandomResizedCrop(32, **options)):
        transform = load(backend_args=dict(backend="lmdb", db_path=database))
        with pytest.raises(DataError, match=f"image {missing} does not exist in {database}; "):
            transform.transform(dict(img_path=missing))
        with pytest.raises(DataError, match=f"image {short} is truncated: it ends after "):
            transform.transform(dict(img_path=short))
        with pytest.raises(DataError, match=r"image ä.jpg cannot be read from .* \(UnicodeEncodeError"):
            transform.transform(dict(img_path="ä.jpg"))
        nowhere = load(backend_args=dict(backend="lmdb", db_path=str(root / "nowhere.lmdb")))
        with pytest.raises(DataError, match=r"image a.jpg cannot be read from .*nowhere.lmdb \(Error"):
            nowhere.transform(dict(img_path="a.jpg"))
    old = StrictLoadImage(file_client_args=dict(backend="lmdb", db_path=database))
    with pytest.raises(DataError, match=f"image {missing} does not exist in {database}; "):
        old.transform(dict(img_path=missing))
    assert old.transform(dict(img_path=f"{CLASSES[1]}/{next(iter(SIZES))}"))["img"].ndim == 3


def test_without_the_package_it_is_named(root, monkeypatch):
    packed = pack_data("imagenet", root, **PACK)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(PackageError, match="image a cannot be read: ImportError: .*pip install lmdb"):
        StrictLoadImage(backend_args=dict(backend="lmdb", db_path=str(packed))).transform(dict(img_path="a"))
    (root / "imagenet-packed").rename(root / "elsewhere")
    with pytest.raises(PackageError, match="lmdb is not installed, which packed images need; pip install"):
        pack_data("imagenet", root, **PACK)
    (root / "elsewhere").rename(root / "imagenet-packed")
    with pytest.raises(PackageError, match="lmdb is not installed, which packed images need; pip install"):
        check_prepared("imagenet", root, packed=True)


def test_bad_images_names_and_options_are_named(root):
    (root / "imagenet/train" / CLASSES[2] / "a.JPEG").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(DataError, match=f"image .*train/{CLASSES[2]}/a.JPEG is truncated or not an image; replace it"):
        pack_data("imagenet", root, **PACK)
    (root / "imagenet/train" / CLASSES[2] / "ä.JPEG").write_bytes(b"")
    with pytest.raises(DataError, match=f"names of images to pack should be ASCII.*got {CLASSES[2]}/ä.JPEG"):
        pack_data("imagenet", root, **PACK)
    (root / "imagenet/val" / CLASSES[0]).rename(root / "imagenet/val/n9")
    (root / "imagenet/train" / CLASSES[2] / "ä.JPEG").unlink()
    (root / "imagenet/train" / CLASSES[2] / "a.JPEG").unlink()
    with pytest.raises(DataError, match="val should have the class folders of .*train"):
        pack_data("imagenet", root, **PACK)
    for options, message in ((dict(short_side=0), "got 0 and 90"), (dict(quality=101), "got 48 and 101")):
        with pytest.raises(UsageError, match=message):
            pack_data("imagenet", root, **{**PACK, **options})
    for name in ("cifar10", "released-backbones"):
        with pytest.raises(UsageError, match=f"only imagenet and tiny-imagenet can be packed, got {name}"):
            pack_data(name, root, **PACK)
        with pytest.raises(UsageError, match=f"only imagenet and tiny-imagenet can be packed, got {name}"):
            check_prepared(name, root, packed=True)
    with pytest.raises(DataError, match="train does not exist; run this without --pack first"):
        pack_data("tiny-imagenet", root, **PACK)


def test_the_tool_packs_and_checks(root, capsys):
    options = ["imagenet", "--root", str(root), "--pack", "--short-side", "48"]
    assert run("prepare_data", options) == 0
    printed = capsys.readouterr().out
    assert "train: 12 images packed" in printed and f"ready in {root / 'imagenet-packed'}" in printed
    # The files are not needed any more.
    (root / "imagenet").rename(root / "elsewhere")
    assert run("prepare_data", [*options, "--check"]) == 0
    printed = capsys.readouterr().out
    assert "already exists" in printed and "imagenet is complete: 3 classes, 12 images in train" in printed
