"""ImageNet from made-up archives in the official format, and the resumption of its extraction."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest

pytest.importorskip("torchvision")
pytest.importorskip("mmpretrain")
pytest.importorskip("scipy")
pytest.importorskip("cv2")


from smix_mm.datasets.prepare import EXPECTED, check_prepared, prepare_data
from smix_mm.datasets.prepare.data_set import Counts
from smix_mm.utils.errors import DataError


@pytest.fixture
def imagenet(tmp_path, monkeypatch, image, tar):
    """The three official archives with 2 classes: 3 training and 4 validation images."""
    from scipy.io import savemat
    from torchvision.datasets import imagenet as published

    synsets = np.zeros(
        3, [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    )
    synsets[:] = [(1, "n00000002", "bee", "", 0), (2, "n00000001", "ant", "", 0), (3, "n00000003", "insect", "", 2)]
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    kit = "ILSVRC2012_devkit_t12/data/"
    classes = {"n00000001": 2, "n00000002": 1}
    contents = {
        "train": tar(
            {f"{w}.tar": tar({f"{w}_{i}.JPEG": image(i) for i in range(count)}) for w, count in classes.items()}
        ),
        "val": tar({f"ILSVRC2012_val_{i:08d}.JPEG": image(i) for i in (3, 1, 4, 2)}),
        "devkit": tar(
            {f"{kit}meta.mat": meta.getvalue(), f"{kit}ILSVRC2012_validation_ground_truth.txt": b"1\n2\n2\n1\n"}, "w:gz"
        ),
    }
    folder = tmp_path / "official"
    folder.mkdir()
    for part, content in contents.items():
        name = published.ARCHIVE_META[part][0]
        (folder / name).write_bytes(content)
        monkeypatch.setitem(published.ARCHIVE_META, part, (name, hashlib.md5(content).hexdigest()))
    monkeypatch.setitem(EXPECTED, "imagenet", Counts(2, dict(train=3, val=4), "this test"))
    return folder


def test_imagenet_is_made_from_its_three_archives(imagenet, tmp_path):
    folder = prepare_data("imagenet", tmp_path / "data", sources=[imagenet])
    assert sorted(path.name for path in (folder / "train/n00000001").iterdir()) == [
        "n00000001_0.JPEG",
        "n00000001_1.JPEG",
    ]
    labels = {path.name[-6:-5]: path.parent.name for path in (folder / "val").rglob("*.JPEG")}
    assert labels == {"1": "n00000002", "2": "n00000001", "3": "n00000001", "4": "n00000002"}
    assert (
        check_prepared("imagenet", tmp_path / "data")
        .line()
        .startswith("imagenet is complete: 2 classes, 3 images in train, 4")
    )


def test_imagenet_goes_on_with_the_class_where_it_was_interrupted(imagenet, tmp_path, monkeypatch):
    from smix_mm.datasets.prepare import classification as module

    whole, seen = module._extract_class, []

    def interrupted(content, folder):
        seen.append(folder.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        whole(content, folder)

    monkeypatch.setattr(module, "_extract_class", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_data("imagenet", tmp_path / "data", sources=[imagenet])
    assert not (tmp_path / "data/imagenet/train").exists()
    prepare_data("imagenet", tmp_path / "data", sources=[imagenet])
    assert seen == [".n00000001.unpacking", ".n00000002.unpacking", ".n00000002.unpacking"]
    assert check_prepared("imagenet", tmp_path / "data").complete


def test_mmpretrain_reads_the_unpacked_folder(imagenet, tmp_path):
    from mmpretrain.datasets import ImageNet

    folder = prepare_data("imagenet", tmp_path / "data", sources=[imagenet])
    classes = dict(metainfo=dict(classes=("ant", "bee")), pipeline=[])
    train, val = (ImageNet(data_root=str(folder), split=split, **classes) for split in ("train", "val"))
    assert train.get_gt_labels().tolist() == [0, 0, 1] and sorted(val.get_gt_labels().tolist()) == [0, 0, 1, 1]


def replace_archive(folder, monkeypatch, part: str, content: bytes) -> None:
    """Exchange an archive, and the published MD5 with it."""
    from torchvision.datasets import imagenet as published

    name = published.ARCHIVE_META[part][0]
    (folder / name).write_bytes(content)
    monkeypatch.setitem(published.ARCHIVE_META, part, (name, hashlib.md5(content).hexdigest()))


def test_a_development_kit_without_labels_is_refused(imagenet, tmp_path, monkeypatch, tar):
    replace_archive(imagenet, monkeypatch, "devkit", tar({"ILSVRC2012_devkit_t12/readme.txt": b"nothing"}, "w:gz"))
    with pytest.raises(DataError, match=r"devkit_t12.tar.gz cannot be read \(FileNotFoundError: .*download them again"):
        prepare_data("imagenet", tmp_path / "data", sources=[imagenet])
    assert [path.name for path in (tmp_path / "data/imagenet").iterdir()] == ["train"]


def test_a_validation_archive_that_lacks_an_image_is_refused(imagenet, tmp_path, monkeypatch, image, tar):
    content = tar({f"ILSVRC2012_val_{i:08d}.JPEG": image(i) for i in (1, 2, 3)})
    replace_archive(imagenet, monkeypatch, "val", content)
    with pytest.raises(DataError, match=r"img_val.tar has 3 images, but .*devkit_t12.tar.gz has 4 labels"):
        prepare_data("imagenet", tmp_path / "data", sources=[imagenet])
    assert not (tmp_path / "data/imagenet/val").exists()
