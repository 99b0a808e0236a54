"""Crops that are drawn before decoding: mmpretrain's boxes for the same seed, and batches without sample objects."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, default_collate
from mmengine.registry import init_default_scope
from mmpretrain.datasets.transforms import PackInputs, RandomResizedCrop
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from smix_mm.datasets.check.strict import StrictLoadImage
from smix_mm.datasets.fast_images import loading as module
from smix_mm.datasets.fast_images.loading import LoadRandomResizedCrop, PackTensors, channels_last_batch
from smix_mm.engine.resume.loops import seed_samples
from smix_mm.utils.errors import DataError

SHORT, LONG = 300, 400


def smooth(height: int = SHORT, width: int = LONG) -> np.ndarray:
    """uint8 BGR whose colours change slowly, so that a reduced image has nearly the same ones."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 40), np.cos(columns / 50), np.sin((rows + columns) / 60)]
    return (127.5 + 100 * np.stack(waves, 2)).round().astype(np.uint8)


def write(path, image, orientation: int | None = None) -> str:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(image[..., ::-1]).save(path, quality=98, subsampling=0, exif=exif.tobytes() if orientation else b"")
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def headers_of_short_files_are_read_too():
    saved, module._LARGE_FILE = module._LARGE_FILE, 0
    yield
    module._LARGE_FILE = saved


@pytest.fixture(scope="module")
def photograph(tmp_path_factory) -> str:
    noise = np.random.default_rng(0).integers(-20, 20, (SHORT, LONG, 3))
    image = np.clip(smooth() + noise, 0, 255).astype(np.uint8)
    return write(tmp_path_factory.mktemp("images") / "photograph.jpg", image)


def plain(path: str, scale, seed: int, **options):
    """Image, box and the next draw of the two transforms that the new one replaces."""
    results = StrictLoadImage().transform(dict(img_path=path))
    crop = RandomResizedCrop(scale, **options)
    np.random.seed(seed)
    box = crop.rand_crop_params(results["img"])
    np.random.seed(seed)
    return crop.transform(results)["img"], box, np.random.rand()


def fast(path: str, scale, seed: int, **options):
    np.random.seed(seed)
    results = LoadRandomResizedCrop(scale, **options).transform(dict(img_path=path))
    return results["img"], results["crop_box"], np.random.rand()


def factor_of(box, scale: int) -> int:
    return next((factor for factor in (8, 4, 2) if min(box[2:]) >= factor * scale), 1)


@pytest.mark.parametrize("scale", [224, 100, 40])
def test_boxes_and_later_draws_are_mmpretrains(photograph, scale):
    factors = set()
    for seed in range(40):
        image, box, after = fast(photograph, scale, seed)
        expected, expected_box, expected_after = plain(photograph, scale, seed)
        assert box == expected_box and after == expected_after
        factors.add(factor_of(box, scale))
        assert image.shape == expected.shape == (scale, scale, 3)
        if factor_of(box, scale) == 1:
            assert np.array_equal(image, expected)
        else:
            assert not np.array_equal(image, expected)
    assert factors == {224: {1}, 100: {1, 2}, 40: {2, 4}}[scale]


def test_crops_of_imagenet_photographs_are_mmpretrains(smix_data):
    for number, path in enumerate(sorted((smix_data / "imagenet-samples").glob("*.JPEG"))):
        image, box, _ = fast(str(path), 224, number)
        expected, expected_box, _ = plain(str(path), 224, number)
        assert box == expected_box
        assert factor_of(box, 224) > 1 or np.array_equal(image, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_before_the_crop(tmp_path, orientation):
    path = write(tmp_path / "rotated.jpg", smooth(), orientation)
    for scale in (200, 60):
        for seed in range(6):
            image, box, _ = fast(path, scale, seed)
            expected, expected_box, _ = plain(path, scale, seed)
            assert box == expected_box
            assert np.abs(image.astype(int) - expected).max() <= 4


@pytest.mark.parametrize("scale", [100, 60, 30])
def test_a_reduced_decoding_shows_the_same_place(tmp_path, scale):
    path = write(tmp_path / "smooth.jpg", smooth())
    reduced = [seed for seed in range(30) if factor_of(fast(path, scale, seed)[1], scale) > 1]
    assert len(reduced) > 5
    for seed in reduced:
        difference = np.abs(fast(path, scale, seed)[0].astype(int) - plain(path, scale, seed)[0])
        # A shift by half a pixel of the reduced image would give a mean of more than 1.
        assert difference.max() <= 4 and difference.mean() < 0.75


def test_a_reduced_decoding_has_less_aliasing_than_a_whole_one(photograph):
    errors = []
    whole = cv2.imread(photograph)
    for seed in range(30):
        image, (top, left, height, width), _ = fast(photograph, 60, seed)
        if factor_of((top, left, height, width), 60) > 1:
            part = whole[top : top + height, left : left + width]
            exact = cv2.resize(part, (60, 60), interpolation=cv2.INTER_AREA).astype(int)
            errors.append([np.abs(other - exact).mean() for other in (image, plain(photograph, 60, seed)[0])])
    reduced, unreduced = np.mean(errors, 0)
    assert len(errors) > 10 and reduced < 0.7 * unreduced


def test_options_of_the_crop_reach_mmpretrains(photograph):
    options = dict(crop_ratio_range=(0.3, 0.4), aspect_ratio_range=(2.0, 2.5))
    for seed in range(5):
        assert fast(photograph, (50, 80), seed, **options)[1] == plain(photograph, (50, 80), seed, **options)[1]
    assert fast(photograph, (50, 80), 0)[0].shape == (50, 80, 3)


def test_a_header_that_the_decoder_contradicts_changes_nothing(photograph, monkeypatch):
    expected = [plain(photograph, 60, seed) for seed in range(5)]
    monkeypatch.setattr(module, "_shape", lambda content: (LONG, SHORT))
    for seed, (image, box, after) in enumerate(expected):
        found = fast(photograph, 60, seed)
        assert np.array_equal(found[0], image) and found[1:] == (box, after)


def test_a_png_and_a_grey_image_are_read_as_before(tmp_path):
    Image.fromarray(smooth()[..., ::-1]).save(tmp_path / "a.png")
    Image.fromarray(smooth()[..., 0]).save(tmp_path / "b.jpg")
    for name in ("a.png", "b.jpg"):
        image, box, _ = fast(str(tmp_path / name), 60, 1)
        expected, expected_box, _ = plain(str(tmp_path / name), 60, 1)
        assert box == expected_box and np.abs(image.astype(int) - expected).max() <= 4


def test_a_bad_file_is_named_or_skipped(photograph, tmp_path):
    content = Path(photograph).read_bytes()
    for name, kept, message in (
        ("missing.jpg", None, "does not exist"),
        ("cut.jpg", content[:-1000], f"is truncated: it ends after {len(content) - 1000} bytes"),
        ("text.jpg", b"no image", "is not an image"),
    ):
        if kept is not None:
            (tmp_path / name).write_bytes(kept)
        for decode in (True, False):
            with pytest.raises(DataError, match=f"image .*{name} {message}"):
                LoadRandomResizedCrop(60, decode=decode).transform(dict(img_path=str(tmp_path / name)))
            skipping = LoadRandomResizedCrop(60, decode=decode, ignore_empty=True)
            assert skipping.transform(dict(img_path=str(tmp_path / name))) is None


def test_batches_are_those_of_mmpretrain_in_other_memory():
    images = [smooth(20, 30) + number for number in range(3)]
    given = [dict(img=image, gt_label=7 + number) for number, image in enumerate(images)]
    expected = default_collate([PackInputs().transform(dict(one)) for one in given])
    packed = [PackTensors().transform(dict(one)) for one in given]
    for batch in (channels_last_batch(packed), default_collate(packed)):
        assert batch["inputs"].dtype == torch.uint8 and torch.equal(batch["inputs"], expected["inputs"])
        assert batch["data_samples"].tolist() == [7, 8, 9] and batch["data_samples"].dtype == torch.int64
    assert channels_last_batch(packed)["inputs"].is_contiguous(memory_format=torch.channels_last)


class Photographs(Dataset):
    def __init__(self, path):
        init_default_scope("mmpretrain")
        self.path = path
        self.pipeline = Compose([dict(type="LoadRandomResizedCrop", scale=50), dict(type="PackTensors")])

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return self.pipeline(dict(img_path=self.path, gt_label=index))


def test_neither_workers_nor_a_resume_within_an_epoch_change_the_crops(photograph):
    def batches(workers: int, skip: int):
        loader = DataLoader(Photographs(photograph), 3, num_workers=workers, collate_fn=channels_last_batch)
        assert seed_samples(loader, 4, 0)
        return [batch["inputs"] for batch in loader.read(2, skip)]

    alone = batches(0, 0)
    assert all(map(torch.equal, alone, batches(2, 0))) and all(map(torch.equal, alone[1:], batches(1, 1)))
    assert len({image.numpy().tobytes() for batch in alone for image in batch}) == 7


@pytest.mark.parametrize("kind", ["jpeg", "rotated", "png", "cmyk"])
def test_an_encoded_image_has_the_same_box_and_decodes_to_the_same_crop(tmp_path, kind):
    path = str(tmp_path / ("a.png" if kind == "png" else "a.jpg"))
    if kind == "cmyk":
        Image.fromarray(smooth()).convert("CMYK").save(path, quality=98)
    elif kind == "png":
        Image.fromarray(smooth()).save(path)
    else:
        write(path, smooth(), 6 if kind == "rotated" else None)
    for seed in range(4):
        image, box, _ = fast(path, 224, seed)
        np.random.seed(seed)
        results = LoadRandomResizedCrop(224, decode=False).transform(dict(img_path=path))
        assert results["crop_box"] == box and results["img"].ndim == 1
        (top, left, height, width), shape = box, results["ori_shape"]
        decoded = np.asarray(Image.open(io.BytesIO(results["img"].tobytes())).convert("RGB"))[..., ::-1]
        assert decoded.shape[:2] == shape
        crop = cv2.resize(decoded[top : top + height, left : left + width], (224, 224))
        assert np.abs(crop.astype(int) - image).max() <= 6
