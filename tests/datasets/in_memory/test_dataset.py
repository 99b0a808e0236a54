"""Images in memory: read from official files and folders alike, in the right order, each once an epoch."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mmpretrain")
pytest.importorskip("cv2")

import cv2
from mmengine.runner import Runner

from smix_mm.datasets.in_memory.dataset import CIFAR10, CIFAR100, InMemoryDataset

NAMES = ("ant", "bee", "cow")


def python2_pickle(content: dict) -> bytes:
    """A pickle as Python 2 and its numpy wrote the official files: byte strings, ``numpy.core``."""

    def text(value: bytes) -> bytes:
        return b"T" + len(value).to_bytes(4, "little") + value

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    def array(values: np.ndarray) -> bytes:
        kind = b"cnumpy\ndtype\n(" + text(b"u1") + number(0) + number(1) + b"tR"
        kind += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
        shape = b"(" + b"".join(map(number, values.shape)) + b"t"
        empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + number(0) + b"t" + text(b"b") + b"tR"
        return empty + b"(" + number(1) + shape + kind + b"\x89" + text(values.tobytes()) + b"tb"

    def value(item) -> bytes:
        if isinstance(item, np.ndarray):
            return array(item)
        return b"](" + b"".join(number(i) if isinstance(i, int) else text(i.encode()) for i in item) + b"e"

    items = b"".join(text(key.encode()) + value(item) for key, item in content.items())
    return b"\x80\x02}(" + items + b"u."


def write_official(root: Path, files=CIFAR10, per_file: int = 6) -> np.ndarray:
    """Made-up files of CIFAR's own format; the images of the training set, uint8 RGB (N, 3, 32, 32)."""
    rng = np.random.default_rng(0)
    folder = root / files.folder
    folder.mkdir(parents=True)
    (folder / files.meta).write_bytes(python2_pickle({files.names: list(NAMES)}))
    train = []
    for name in (*files.train, *files.test):
        images = rng.integers(0, 256, (per_file, 3072), np.uint8)
        labels = [number % len(NAMES) for number in range(per_file)]
        (folder / name).write_bytes(python2_pickle({"data": images, files.labels: labels}))
        if name in files.train:
            train.append(images.reshape(-1, 3, 32, 32))
    return np.concatenate(train)


@pytest.mark.parametrize("files, number", [(CIFAR10, 30), (CIFAR100, 6)])
def test_official_files_give_their_images_in_order_as_rgb(tmp_path, files, number):
    expected = write_official(tmp_path, files)
    dataset = InMemoryDataset(tmp_path, "train", device="cpu")
    assert len(dataset) == number
    assert torch.equal(dataset.images, torch.from_numpy(expected))
    assert dataset.labels.tolist() == [0, 1, 2] * (number // 3)
    assert dataset.metainfo == dict(classes=NAMES)
    assert len(InMemoryDataset(tmp_path, "test", device="cpu")) == 6


def test_official_files_are_read_as_mmpretrain_reads_them(tmp_path, monkeypatch):
    from mmpretrain.datasets import CIFAR10 as Theirs

    write_official(tmp_path)
    monkeypatch.setattr(Theirs, "_check_integrity", lambda self: True)
    theirs = Theirs(data_root=str(tmp_path), split="train", pipeline=[])
    ours = InMemoryDataset(tmp_path, "train", device="cpu")
    for index in (0, 7, 29):
        info = theirs[index]
        assert np.array_equal(info["img"].transpose(2, 0, 1), ours[index]["inputs"].numpy())
        assert info["gt_label"] == int(ours[index]["data_samples"])


def test_a_folder_gives_the_pixels_of_the_ordinary_pipeline(few_cifar10):
    from mmengine.registry import init_default_scope
    from mmpretrain.datasets import CustomDataset

    init_default_scope("mmpretrain")
    pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
    theirs = CustomDataset(data_root=str(few_cifar10), data_prefix="train", pipeline=pipeline)
    ours = InMemoryDataset(few_cifar10, "train", device="cpu")
    assert ours.metainfo["classes"] == theirs.metainfo["classes"] and len(ours) == len(theirs) == 240
    for index in range(0, 240, 7):
        sample = theirs[index]
        assert torch.equal(ours[index]["inputs"], sample["inputs"].flip(0)), "theirs is BGR"
        assert ours[index]["data_samples"] == sample["data_samples"].gt_label


def test_official_files_take_precedence_over_a_folder(tmp_path):
    write_official(tmp_path)
    (tmp_path / "train/ant").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "train/ant/0.png"), np.zeros((8, 8, 3), np.uint8))
    assert InMemoryDataset(tmp_path, "train", device="cpu").images.shape == (30, 3, 32, 32)


def loader(root: Path, batch: int, shuffle: bool, split: str = "train"):
    return Runner.build_dataloader(
        dict(
            batch_size=batch,
            num_workers=0,
            sampler=dict(type="DefaultSampler", shuffle=shuffle),
            collate_fn=dict(type="whole_batch"),
            dataset=dict(type="mmpretrain.InMemoryDataset", data_root=str(root), split=split, device="cpu"),
        ),
        seed=3,
    )


def keys_of(batches) -> list[bytes]:
    return [image.numpy().tobytes() for batch in batches for image in batch["inputs"]]


def test_an_epoch_shows_every_image_once_in_a_new_order_with_its_own_label(few_cifar10):
    loaded = loader(few_cifar10, 32, shuffle=True)
    dataset = loaded.dataset
    label_of = {key: int(label) for key, label in zip(keys_of([dict(inputs=dataset.images)]), dataset.labels)}
    orders = []
    for epoch in range(2):
        loaded.sampler.set_epoch(epoch)
        batches = list(loaded)
        assert [tuple(batch["inputs"].shape) for batch in batches] == [(32, 3, 32, 32)] * 7 + [(16, 3, 32, 32)]
        seen = keys_of(batches)
        assert sorted(seen) == sorted(label_of)
        assert [label_of[key] for key in seen] == torch.cat([batch["data_samples"] for batch in batches]).tolist()
        orders.append(seen)
    assert orders[0] != orders[1]


def test_the_same_seed_gives_the_same_batches(few_cifar10):
    first, again = (keys_of(loader(few_cifar10, 32, shuffle=True)) for _ in range(2))
    assert first == again


def test_evaluation_goes_in_order(few_cifar10):
    loaded = loader(few_cifar10, 7, shuffle=False, split="test")
    assert torch.equal(torch.cat([batch["inputs"] for batch in loaded]), loaded.dataset.images)
    assert torch.equal(torch.cat([batch["data_samples"] for batch in loaded]), loaded.dataset.labels)


def test_ranks_share_an_epoch_out_among_them(few_cifar10, monkeypatch):
    seen = []
    for rank in range(2):
        monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda rank=rank: (rank, 2))
        seen.append(keys_of(loader(few_cifar10, 32, shuffle=True)))
    assert len(seen[0]) == len(seen[1]) == 120
    assert len(set(seen[0]) | set(seen[1])) == 240


def test_single_samples_are_stacked_where_a_wrapper_hides_whole_batches(few_cifar10):
    plain = loader(few_cifar10, 32, shuffle=True)
    expected = list(plain)

    class Wrapper:
        def __getitem__(self, index):
            return plain.dataset[index]

        def __len__(self):
            return len(plain.dataset)

    wrapped = torch.utils.data.DataLoader(Wrapper(), 32, sampler=plain.sampler, collate_fn=plain.collate_fn)
    for batch, plain_batch in zip(wrapped, expected):
        assert torch.equal(batch["inputs"], plain_batch["inputs"])
        assert torch.equal(batch["data_samples"], plain_batch["data_samples"])


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    write_official(tmp_path)

    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "owned",)

    (tmp_path / CIFAR10.folder / "data_batch_2").write_bytes(pickle.dumps({"data": Evil()}))
    with pytest.raises(ValueError, match=r"data_batch_2 is damaged or not a file of CIFAR .*it refers to"):
        InMemoryDataset(tmp_path, "train", device="cpu")
    assert not (tmp_path / "owned").exists()


def test_missing_and_damaged_files_are_errors(tmp_path, few_cifar10):
    with pytest.raises(FileNotFoundError, match=r"should contain cifar-10-batches-py/"):
        InMemoryDataset(tmp_path, device="cpu")
    with pytest.raises(ValueError, match=r"split should be one of 'train', 'test', got 'val'"):
        InMemoryDataset(few_cifar10, "val")
    write_official(tmp_path)
    batch = tmp_path / CIFAR10.folder / "data_batch_3"
    whole = batch.read_bytes()
    batch.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="data_batch_3 is damaged"):
        InMemoryDataset(tmp_path, device="cpu")
    wrong = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 3]}
    batch.write_bytes(python2_pickle(wrong))
    with pytest.raises(ValueError, match="data_batch_3 is not a file of CIFAR; expected class numbers from 0 to 2"):
        InMemoryDataset(tmp_path, device="cpu")
    batch.unlink()
    with pytest.raises(FileNotFoundError, match="data_batch_3 is missing"):
        InMemoryDataset(tmp_path, device="cpu")


def test_a_broken_image_and_one_of_another_size_are_named(tmp_path, few_cifar10):
    shutil.copytree(few_cifar10 / "test", tmp_path / "test")
    odd = tmp_path / "test/cat/zzzz.png"
    cv2.imwrite(str(odd), np.zeros((16, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r"one size, got 20x16 pixels in .*cat/zzzz.png and 32x32 in "):
        InMemoryDataset(tmp_path, "test", device="cpu")
    odd.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"cat/zzzz.png cannot be read as an image"):
        InMemoryDataset(tmp_path, "test", device="cpu")


def test_images_on_a_gpu_cannot_be_loaded_by_workers(few_cifar10, monkeypatch):
    dataset = InMemoryDataset(few_cifar10, "test", device="cpu")
    dataset.device = torch.device("meta")
    monkeypatch.setattr("smix_mm.datasets.in_memory.dataset.get_worker_info", lambda: object())
    with pytest.raises(RuntimeError, match="should have num_workers=0"):
        dataset.__getitems__([0, 1])
