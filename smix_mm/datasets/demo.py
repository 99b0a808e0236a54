"""Demo data without a download: real scans of handwritten digits on crops of real photographs.

The scans come inside scikit-learn, the photographs inside scikit-image's wheel.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from ..utils.errors import PackageError
from ..utils.files import content_hash, file_hash, write_json
from ..utils.progress import track

try:
    import cv2
    import skimage
    import sklearn
    from sklearn.datasets import load_digits
except ImportError as error:
    raise PackageError(f"{error}; the demo data needs: pip install scikit-learn scikit-image") from error

RECIPE = 2  # increase with every change that changes a byte of the data
# Alphabetical, as mmpretrain numbers class folders, so that a class has the same number in both parts.
DIGITS = {"four": 4, "one": 1, "three": 3, "two": 2, "zero": 0}
CLASSES = tuple(DIGITS)
Pair = tuple[int, int]
Digit = tuple[str, tuple[int, int, int, int]]
SCENE, SCENE_SIZES = (96, 128), (24, 36)
PATCH, PATCH_SIZES = (32, 32), (22, 30)

PHOTOGRAPHS = {
    "train": ("astronaut.png", "coffee.png", "hubble_deep_field.jpg", "retina.jpg"),
    "test": ("chelsea.png", "rocket.jpg"),
}
SOURCES = """# Sources of these images

Digits, from scikit-learn, here enlarged, turned, stretched and coloured:
- Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
  https://archive.ics.uci.edu/dataset/80, CC BY 4.0

Photographs, from scikit-image, here cropped, shrunk and mirrored:
- `astronaut.png`: Eileen Collins, NASA, https://flic.kr/p/r9qvLn, public domain
- `coffee.png`: Coffee cup, Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0
- `hubble_deep_field.jpg`: Hubble eXtreme Deep Field, NASA,
  http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/, public domain
- `retina.jpg`: Fundus photograph of a normal left eye, Mikael Häggström,
  https://commons.wikimedia.org/wiki/File:Fundus_photograph_of_normal_left_eye.jpg, CC0
- `chelsea.png`: Chelsea the cat, Stefan van der Walt, CC0
- `rocket.jpg`: Launch of DSCOVR on Falcon 9, SpaceX,
  https://www.flickr.com/photos/spacexphotos/16511594820/, public domain
"""


def load_photograph(name: str) -> np.ndarray:
    """Read a photograph of scikit-image's wheel, uint8 (H, W, 3) in BGR, with a shorter side of at most 512 pixels."""
    # By path, because the functions of skimage.data may download a missing file.
    path = Path(skimage.__file__).parent / "data" / name
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"{path} cannot be read; install the wheel of scikit-image 0.22 or newer")
    scale = min(1.0, 512 / min(image.shape[:2]))
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def scan_numbers(split: str) -> dict[str, np.ndarray]:
    """Row numbers, sorted, of the scans of scikit-learn that a split may use, by class name."""
    labels = load_digits().target
    # One block, because scans of similar handwriting are adjacent: the test split has other handwriting.
    in_split = (np.arange(len(labels)) >= 0.7 * len(labels)) == (split == "test")
    return {name: np.flatnonzero(in_split & (labels == digit)) for name, digit in DIGITS.items()}


def draw_digit(scan: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a scan, float32 (8, 8) in [0, 1], large and smooth, rotated by up to 12 degrees, stretched by up to 15 %.

    Returns its opacity, float32 (h, w) in [0, 1], tight around the ink; the longer side has ``size`` pixels.
    """
    angle, stretch, side = rng.uniform(-12, 12), rng.uniform(0.85, 1.15), 64
    turn = cv2.getRotationMatrix2D((0, 0), angle, side / 16) @ np.diag([stretch, 1.0, 1.0])
    turn[:, 2] = side / 2 - turn[:, :2] @ (3.5, 3.5)
    smooth = cv2.warpAffine(scan, turn, (side, side), flags=cv2.INTER_CUBIC)
    ink = np.clip(4 * (smooth - 0.4) + 0.5, 0, 1)  # steep, because an enlarged 8x8 scan has no sharp edges
    rows, columns = np.flatnonzero(ink.max(1) >= 0.5), np.flatnonzero(ink.max(0) >= 0.5)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(3, round(length * size / max(ink.shape))) for length in ink.shape)
    return np.minimum(cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA), 1)


def blend(region: np.ndarray, ink: np.ndarray, rng: np.random.Generator) -> None:
    """Paint ink, (h, w) in [0, 1], into uint8 (h, w, 3), in place, in a random colour that stands out."""
    covered = np.average(region.reshape(-1, 3), axis=0, weights=ink.ravel())
    colours = rng.integers(0, 256, (16, 3))
    contrast = np.abs((colours - covered) @ (0.114, 0.587, 0.299))  # Rec. 601 luma, because hue alone is hard to read
    colour = colours[np.argmax(np.minimum(contrast, 110))]
    opacity = rng.uniform(0.9, 1.0) * ink[..., None]
    region[:] = np.rint(region * (1 - opacity) + colour * opacity)


class Painter:
    """Draws the images of a split (``'train'`` or ``'test'``) with one seeded generator."""

    def __init__(self, split: str, seed: int | np.random.SeedSequence) -> None:
        self.rng = np.random.default_rng(seed)
        self.photographs = [load_photograph(name) for name in PHOTOGRAPHS[split]]
        self.numbers = scan_numbers(split)
        self.scans = (load_digits().images / 16).astype(np.float32)

    def background(self, shape: Pair) -> np.ndarray:
        """A crop of a photograph, shrunk by a factor of 1 to 2.4, with half its contrast, half of them mirrored.

        Returns uint8 (H, W, 3) in BGR.
        """
        photograph = self.photographs[self.rng.integers(len(self.photographs))]
        height, width = np.rint(np.multiply(shape, self.rng.uniform(1, 2.4))).astype(int)
        top, left = self.rng.integers(np.subtract(photograph.shape[:2], (height, width)), endpoint=True)
        crop = photograph[top : top + height, left : left + width]
        shrunk = cv2.resize(crop, shape[::-1], interpolation=cv2.INTER_AREA)
        mean = shrunk.mean(axis=(0, 1))
        # Less contrast, so that a model learns the digits in minutes.
        pale = np.rint(mean + 0.5 * (shrunk - mean)).astype(np.uint8)
        return cv2.flip(pale, 1) if self.rng.random() < 0.5 else pale

    def draw(self, names: Sequence[str], shape: Pair, sizes: Pair) -> tuple[np.ndarray, list[Digit]]:
        """Draw digits of the named classes, ``sizes`` (minimum, maximum) pixels long, on a crop of a photograph.

        Returns an image, uint8 (H, W, 3) in BGR, and name and box of each digit: ``(y1, x1, y2, x2)``,
        half-open, tight around the ink. Boxes do not overlap; a digit for which no such place is found is left out.
        """
        image, taken, objects = self.background(shape), np.zeros(shape, bool), []
        for name in names:
            scan = self.scans[self.rng.choice(self.numbers[name])]
            ink = draw_digit(scan, int(self.rng.integers(*sizes, endpoint=True)), self.rng)
            for y1, x1 in self.rng.integers(np.subtract(shape, ink.shape) + 1, size=(10, 2)).tolist():
                y2, x2 = y1 + ink.shape[0], x1 + ink.shape[1]
                if not taken[y1:y2, x1:x2].any():
                    taken[y1:y2, x1:x2] = True
                    blend(image[y1:y2, x1:x2], ink, self.rng)
                    objects.append((name, (y1, x1, y2, x2)))
                    break
        return image, objects


def make_digit_scenes(
    out: str | Path,
    *,
    seed: int = 0,
    train_scenes: int = 1280,
    test_scenes: int = 200,
    pretrain_train: int = 5000,
    pretrain_test: int = 500,
) -> None:
    """Write the demo data into the folder ``out``, or do nothing if the same data exists there.

    ``detection/`` has VOC layout (128x96 pixels), ``classification/{train,test}/<class>/NNNN.png`` 32x32
    pixels. Train and test share neither scans nor photographs. The same arguments give the same bytes with
    the library versions in ``manifest.json``; a larger set does not change the others. The folder is built
    beside ``out`` and renamed when it is complete.

    ``out`` may exist if it is empty; the numbers are those of images, for pretraining at least one of each class.

    Raises:
        ValueError: A number is too small.
        FileExistsError: ``out`` contains anything else, which is not touched.
    """
    sets = {"detection train": train_scenes, "detection test": test_scenes}
    sets |= {"classification train": pretrain_train, "classification test": pretrain_test}
    settings: dict[str, Any] = {"recipe": RECIPE, "seed": seed, "images": sets}
    if seed < 0 or min(train_scenes, test_scenes) < 1 or min(pretrain_train, pretrain_test) < len(CLASSES):
        raise ValueError(f"expected a seed of at least 0, a scene, and an image of each class, got {settings}")
    out = Path(out).resolve()
    if _is_complete(out, settings):
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as unfinished:
        work = Path(unfinished, "data")
        for (name, number), stream in zip(sets.items(), np.random.SeedSequence(seed).spawn(len(sets))):
            part, split = name.split()
            painter = Painter(split, stream)
            for i in track(range(number), name):
                _write_image(work / part, split, i, painter)
        for split, number in (("train", train_scenes), ("test", test_scenes)):
            stems = "".join(f"{split}_{index:05d}\n" for index in range(number))
            _write(work / f"detection/ImageSets/Main/{split}.txt", stems.encode())
        _write(work / "LICENSES.md", SOURCES.encode())
        hashes = {p.relative_to(work).as_posix(): file_hash(p) for p in work.rglob("*") if p.is_file()}
        versions = {module.__name__: vars(module)["__version__"] for module in (cv2, np, skimage, sklearn)}
        write_json(work / "manifest.json", {**settings, "versions": versions, "sha256": content_hash(hashes)})
        if not _is_complete(out, settings):  # another process may have been faster
            work.rename(out)


def _is_complete(out: Path, settings: dict[str, Any]) -> bool:
    """Whether ``out`` contains the data of these settings; False if it is empty, FileExistsError for anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    with suppress(OSError, ValueError, LookupError, TypeError):  # no manifest, or another one
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        if {key: manifest[key] for key in settings} == settings:
            return True
    raise FileExistsError(f"{out} contains something other than the demo data of {settings}; name another folder")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_image(folder: Path, split: str, index: int, painter: Painter) -> None:
    if folder.name == "classification":
        within, which = divmod(index, len(CLASSES))
        image, _ = painter.draw([CLASSES[which]], PATCH, PATCH_SIZES)
        png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1]
        _write(folder / split / CLASSES[which] / f"{within:04d}.png", png.tobytes())
        return
    names = [CLASSES[i] for i in painter.rng.integers(len(CLASSES), size=painter.rng.integers(1, 5))]
    image, objects = painter.draw(names, SCENE, SCENE_SIZES)
    # VOC's corners count from 1 and are inclusive.
    rows = "".join(
        f"<object><name>{name}</name><truncated>0</truncated><difficult>0</difficult><bndbox>"
        f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>\n"
        for name, (y1, x1, y2, x2) in objects
    )
    stem = f"{split}_{index:05d}"
    size = f"<size><width>{SCENE[1]}</width><height>{SCENE[0]}</height><depth>3</depth></size>\n"
    xml = f"<annotation>\n<filename>{stem}.jpg</filename>\n{size}{rows}</annotation>\n"
    _write(folder / f"Annotations/{stem}.xml", xml.encode())
    jpg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    _write(folder / f"JPEGImages/{stem}.jpg", jpg.tobytes())
