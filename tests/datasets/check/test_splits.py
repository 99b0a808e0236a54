"""What a config reads: the files that OpenMMLab's datasets read, found without building them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smix_mm.datasets.check.listing import compare_folders, list_samples
from smix_mm.datasets.check.splits import find_splits
from smix_mm.utils.errors import DataError


def config(**datasets) -> dict:
    return {f"{part}_dataloader": dict(dataset=dataset) for part, dataset in datasets.items()}


def listed(dataset: dict, **rest):
    (split,) = find_splits(dict(config(train=dataset), **rest))
    return split, list_samples(split)


def kinds(listing) -> list[str]:
    return [finding.kind for finding in listing.findings]


@pytest.mark.parametrize("year, count", [("VOC2007", 49), ("VOC2012", 48)])
def test_voc_samples_are_those_of_mmdetection(smix_data, year, count):
    mmdet = pytest.importorskip("mmdet.datasets")
    settings = dict(
        data_root=f"{smix_data}/VOCdevkit/",
        ann_file=f"{year}/ImageSets/Main/trainval.txt",
        data_prefix=dict(sub_data_root=f"{year}/"),
    )
    dataset = mmdet.VOCDataset(**settings)
    expected = [(info["img_path"], info["xml_path"]) for info in map(dataset.get_data_info, range(len(dataset)))]
    split, listing = listed(dict(type="mmdet.VOCDataset", **settings))
    assert [(sample.image, sample.annotation) for sample in listing.samples] == expected and len(expected) == count
    assert split.classes == dataset.metainfo["classes"]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two classes, with what mmpretrain skips: hidden files, other suffixes, files above the classes."""
    for name in (
        "b/2.JPG",
        "b/10.png",
        "a/deep/er/1.jpg",
        "a/.deep/3.jpg",
        "a/.hidden.jpg",
        "a/notes.txt",
        "above.jpg",
    ):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "train.txt").write_text("b/2.JPG 1\na/deep/er/1.jpg 0\n")
    return tmp_path


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("settings", [dict(), dict(with_label=False), dict(ann_file="train.txt")])
def test_classification_samples_are_those_of_mmpretrain(folders, settings, hidden):
    if hidden:
        (folders / "train/.ipynb_checkpoints").mkdir()
    mmpretrain = pytest.importorskip("mmpretrain.datasets")
    settings = dict(settings, data_root=str(folders), data_prefix="train")
    dataset = mmpretrain.CustomDataset(**settings)
    expected = [os.path.realpath(info["img_path"]) for info in map(dataset.get_data_info, range(len(dataset)))]
    split, listing = listed(dict(type="CustomDataset", **settings))
    assert sorted(os.path.realpath(sample.image) for sample in listing.samples) == sorted(expected) and expected
    assert kinds(listing) == []
    if "ann_file" not in settings and split.with_label:
        assert listing.folders == tuple(dataset.metainfo["classes"])


def test_imagenet_finds_its_list_by_the_name_of_the_split(folders):
    (folders / "meta").mkdir()
    (folders / "train.txt").rename(folders / "meta/train.txt")
    split, listing = listed(dict(type="ImageNet", data_root=str(folders), split="train"))
    assert (split.style, len(listing.samples)) == ("list", 2)


def test_datasets_inside_wrappers_are_found_and_a_split_that_is_read_twice_is_listed_once(folders):
    inner = dict(type="CustomDataset", data_root=str(folders), data_prefix="train")
    wrapped = dict(type="RepeatDataset", dataset=dict(type="ConcatDataset", datasets=[inner, dict(inner)]))
    (split,) = find_splits(config(train=wrapped, val=inner, test=inner))
    assert split.parts == ("train", "val", "test")


def test_whether_images_are_rotated_by_exif_follows_the_pipeline(folders):
    inner = dict(type="CustomDataset", data_root=str(folders))
    for settings, follows in ((dict(), True), (dict(color_type="color_ignore_orientation"), False)):
        split, _ = listed(dict(inner, pipeline=[dict(type="LoadImageFromFile", **settings)]))
        assert split.follow_exif is follows


@pytest.mark.parametrize("backend, known", [("disk", True), ("petrel", False)])
def test_images_of_another_backend_under_mmcvs_older_argument_cannot_be_checked(folders, backend, known):
    steps = [dict(type="LoadImageFromFile", file_client_args=dict(backend=backend))]
    train = dict(type="CustomDataset", data_root=str(folders), pipeline=steps)
    assert bool(find_splits(config(train=train), strict=False)) is known


@pytest.mark.parametrize(
    "dataset, reason",
    [
        (
            dict(type="CIFAR10", data_root="data"),
            "reads a CIFAR10, which cannot be checked; expected .*CIFAR's official files are checked by prepare_data",
        ),
        (
            dict(type="mmdet.LVISV1Dataset", ann_file="a.json"),
            "reads a LVISV1Dataset, which cannot be checked; expected",
        ),
        (
            dict(type="VOCDataset", data_root="s3://bucket/VOC"),
            "data_root should be a local folder, got s3://bucket/VOC",
        ),
    ],
)
def test_data_of_other_kinds_are_refused_or_left_out(dataset, reason):
    with pytest.raises(DataError, match=reason):
        find_splits(config(train=dataset))
    assert find_splits(config(train=dataset), strict=False) == []


def test_a_config_without_datasets_is_refused():
    with pytest.raises(DataError, match="the config should have a dataset: train_dataloader"):
        find_splits(dict(model=dict()))


def test_bad_lines_of_a_split_file_are_found_by_number(folders):
    (folders / "train.txt").write_text("b/2.JPG 1\n\nb/10.png\nb/10.png two\nb/10.png 2\n../out.jpg 0\nb/2.JPG 1\n")
    settings = dict(type="CustomDataset", data_root=str(folders), data_prefix="train", ann_file="train.txt")
    _, listing = listed(settings, model=dict(head=dict(num_classes=2)))
    assert kinds(listing) == ["bad-line"] * 5 + ["repeated-name"]
    assert [finding.detail.partition(", ")[0] for finding in listing.findings[:5]] == [f"line {n}" for n in range(2, 7)]
    assert [sample.name for sample in listing.samples] == ["b/2.JPG", "b/2.JPG"]


@pytest.mark.parametrize("line", ["", " ", "/etc/passwd", "../../x", "a/../../x", "a\0b"])
def test_image_ids_that_are_blank_or_lead_out_of_the_folder_are_bad_lines(tmp_path, line):
    (tmp_path / "train.txt").write_text(f"{line}\n")
    _, listing = listed(dict(type="VOCDataset", data_root=str(tmp_path), ann_file="train.txt"))
    assert kinds(listing) == ["bad-line"] and listing.samples == []


@pytest.mark.parametrize(
    "content, kind", [(b"", "empty-split"), (b"\xff\xfe\0", "wrong-encoding"), (None, "missing-split")]
)
def test_split_files_that_are_empty_missing_or_no_text_are_found(tmp_path, content, kind):
    if content is not None:
        (tmp_path / "train.txt").write_bytes(content)
    _, listing = listed(dict(type="VOCDataset", data_root=str(tmp_path), ann_file="train.txt"))
    assert kinds(listing) == [kind]


def test_folders_of_images_that_are_empty_or_missing_are_found(tmp_path):
    for prefix, kind in ((".", "empty-split"), ("none", "missing-split")):
        _, listing = listed(dict(type="CustomDataset", data_root=str(tmp_path), data_prefix=prefix))
        assert kinds(listing) == [kind]


def test_class_folders_that_differ_from_those_of_the_training_are_found(folders):
    (folders / "test/b").mkdir(parents=True)
    (folders / "test/b/3.jpg").touch()
    inner = dict(type="CustomDataset", data_root=str(folders))
    parts = config(train=dict(inner, data_prefix="train"), test=dict(inner, data_prefix="test"))
    listings = [list_samples(split) for split in find_splits(parts)]
    compare_folders(listings)
    assert [kinds(listing) for listing in listings] == [[], ["class-folders"]]
    assert "lacks ['a']" in listings[1].findings[0].detail


@pytest.mark.parametrize("number, classes", [(1, None), (None, ["a", "b", "c"])])
def test_class_folders_have_to_fit_the_model_and_the_names(folders, number, classes):
    dataset = dict(type="CustomDataset", data_root=str(folders), data_prefix="train", classes=classes)
    (split,) = find_splits(dict(config(train=dataset), model=dict(head=dict(num_classes=number))))
    listing = list_samples(split)
    compare_folders([listing])
    assert kinds(listing) == ["class-folders"]


def test_symbolic_links_in_a_circle_are_followed_once(folders):
    (folders / "train/a/again").symlink_to(folders / "train/a", target_is_directory=True)
    _, listing = listed(dict(type="CustomDataset", data_root=str(folders), data_prefix="train"))
    assert 4 <= len(listing.samples) <= 8
