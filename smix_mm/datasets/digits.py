"""Demo data without a download: real scans of handwritten digits on crops of real photographs.

The scans come inside scikit-learn, the photographs inside scikit-image's wheel; :data:`PHOTOGRAPHS` and the
``LICENSES.md`` beside the data name their authors and licences. There are two parts, drawn in the same way: small
pictures with one digit for pretraining, and scenes with one to four digits for detection.

Example:
    ``python -m smix_mm.datasets.digits data/digits --seed 0``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

try:
    import cv2
    import skimage
    import sklearn
    from sklearn.datasets import load_digits
except ImportError as error:
    raise ImportError("The demo data needs OpenCV, scikit-image and scikit-learn: "
                      "pip install 'smix-mm[demo]'") from error

RECIPE = 1
"""Version of the drawing below; to be raised with every change that changes a byte of the data."""

DIGITS = {"four": 4, "one": 1, "three": 3, "two": 2, "zero": 0}
# In the order of the alphabet, because mmpretrain numbers class folders that way: so a class has the same number
# in both parts.
CLASSES = tuple(DIGITS)

Box = tuple[int, int, int, int]

SCENE = (120, 160)
PATCH = (32, 32)
SCENE_SIZES = (20, 48)
PATCH_SIZES = (20, 30)


class Photograph(NamedTuple):
    """A photograph of scikit-image's wheel, the split that may show it, and where it is from."""

    file: str
    split: str
    title: str
    author: str
    source: str
    licence: str


_FREE = "public domain, no known copyright restrictions"
_CC0 = "CC0 1.0"
PHOTOGRAPHS = (
    Photograph("astronaut.png", "train", "Eileen Collins", "NASA", "https://flic.kr/p/r9qvLn", _FREE),
    Photograph("coffee.png", "train", "Coffee cup", "Rachel Michetti", "courtesy of Pikolo Espresso Bar", _CC0),
    Photograph("hubble_deep_field.jpg", "train", "Hubble eXtreme Deep Field", "NASA",
               "http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/", "public domain"),
    Photograph("retina.jpg", "train", "Fundus photograph of a normal left eye", "Mikael Häggström",
               "https://commons.wikimedia.org/wiki/File:Fundus_photograph_of_normal_left_eye.jpg", _CC0),
    Photograph("chelsea.png", "test", "Chelsea the cat", "Stefan van der Walt", "scikit-image", _CC0),
    Photograph("rocket.jpg", "test", "Launch of DSCOVR on Falcon 9", "SpaceX",
               "https://www.flickr.com/photos/spacexphotos/16511594820/", "public domain"),
)


def load_photographs(split: str) -> list[np.ndarray]:
    """The photographs of a split, uint8 (H, W, 3) in BGR, the shorter side at most 512 pixels.

    Raises:
        FileNotFoundError: If the installed scikit-image lacks one of them.
    """
    # By path, not through skimage.data: its functions may fetch what is missing.
    folder = Path(skimage.__file__).parent / "data"
    photographs = []
    for item in PHOTOGRAPHS:
        if item.split != split:
            continue
        picture = cv2.imread(str(folder / item.file), cv2.IMREAD_COLOR)
        if picture is None:
            raise FileNotFoundError(f"scikit-image {skimage.__version__} has no readable {folder / item.file}; "
                                    "install the wheel of scikit-image 0.22 or newer")
        scale = min(1.0, 512 / min(picture.shape[:2]))
        photographs.append(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return photographs


def scan_numbers(split: str) -> dict[str, np.ndarray]:
    """Which of scikit-learn's scans a split may show: class name to their row numbers there.

    The last three tenths of the rows are for testing. They are cut off as one block because the scans stand writer
    after writer: so the test shows other hands as well.
    """
    labels = load_digits().target
    first_test = round(0.7 * len(labels))
    in_split = (np.arange(len(labels)) >= first_test) == (split == "test")
    return {name: np.flatnonzero(in_split & (labels == digit)) for name, digit in DIGITS.items()}


def draw_digit(scan: np.ndarray, size: int, rng: Generator) -> np.ndarray:
    """Draw a scan large and smooth, a little turned and stretched.

    Args:
        scan: Ink of an 8x8 scan, float32 (8, 8) in [0, 1].
        size: Longer side of the result in pixels.
        rng: Source of the angle (up to 12 degrees either way) and of the stretch (up to 15 % either way).

    Returns:
        Opacity of the ink, float32 (h, w) in [0, 1], ``max(h, w) == size``; every border row and column has ink.
    """
    angle, stretch = rng.uniform(-12, 12), rng.uniform(0.85, 1.15)
    side = 192
    warp = cv2.getRotationMatrix2D((3.5, 3.5), angle, side / 16) @ np.diag([stretch, 1.0, 1.0])
    warp[:, 2] = side / 2 - warp[:, :2] @ (3.5, 3.5)
    smooth = cv2.warpAffine(scan, warp, (side, side), flags=cv2.INTER_CUBIC)
    # A steep ramp: an 8x8 scan made larger is fog without edges.
    ink = np.clip(4 * (smooth - 0.4) + 0.5, 0, 1)
    rows, columns = np.flatnonzero(ink.max(1) >= 0.5), np.flatnonzero(ink.max(0) >= 0.5)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(3, round(length * size / max(ink.shape))) for length in ink.shape)
    return cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)


def draw_background(photographs: list[np.ndarray], shape: tuple[int, int], rng: Generator) -> np.ndarray:
    """A random crop of a random photograph, perhaps mirrored: uint8 (H, W, 3), one pixel of it being 0.75 to 2.4
    pixels of the photograph wide.
    """
    photograph = photographs[rng.integers(len(photographs))]
    scale = rng.uniform(0.75, 2.4)
    height, width = (round(scale * length) for length in shape)
    top = rng.integers(photograph.shape[0] - height + 1)
    left = rng.integers(photograph.shape[1] - width + 1)
    crop = photograph[top : top + height, left : left + width]
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    method = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(crop), shape[::-1], interpolation=method)


def blend_digit(picture: np.ndarray, ink: np.ndarray, top: int, left: int, rng: Generator) -> None:
    """Paint ``ink`` into ``picture`` (in place) in a random colour that stands out from what it covers."""
    region = picture[top : top + ink.shape[0], left : left + ink.shape[1]]
    covered = np.average(region.reshape(-1, 3), axis=0, weights=ink.ravel())
    colours = rng.integers(0, 256, (16, 3))
    # Rec. 601 luma of BGR: a difference in hue alone is hard to read.
    contrast = np.abs((colours - covered) @ (0.114, 0.587, 0.299))
    colour = colours[np.argmax(np.minimum(contrast, 60))]
    opacity = rng.uniform(0.75, 1.0) * ink[..., None]
    region[:] = np.rint(region + opacity * (colour - region.astype(np.float64)))


class Painter:
    """Draws the pictures of one split, all randomness from one generator.

    Args:
        split: ``'train'`` or ``'test'``; they share neither scans nor photographs.
        seed: Seed of ``numpy.random.default_rng``.
    """

    def __init__(self, split: str, seed: np.random.SeedSequence | int) -> None:
        self.rng = np.random.default_rng(seed)
        self.photographs = load_photographs(split)
        self.numbers = scan_numbers(split)
        self.scans = (load_digits().images / 16).astype(np.float32)

    def digit(self, name: str, sizes: tuple[int, int]) -> np.ndarray:
        """Ink of a random scan of a class, its longer side within ``sizes`` (both included)."""
        number = self.rng.choice(self.numbers[name])
        return draw_digit(self.scans[number], int(self.rng.integers(sizes[0], sizes[1] + 1)), self.rng)

    def place(self, ink: np.ndarray, shape: tuple[int, int]) -> Box:
        """A random box ``(y1, x1, y2, x2)``, half-open, of the ink's size inside a picture of ``shape``."""
        top, left = (int(self.rng.integers(s - i + 1)) for s, i in zip(shape, ink.shape))
        return top, left, top + ink.shape[0], left + ink.shape[1]

    def patch(self, name: str) -> np.ndarray:
        """One digit of a class on a 32x32 crop: uint8 (32, 32, 3) in BGR."""
        picture = draw_background(self.photographs, PATCH, self.rng)
        ink = self.digit(name, PATCH_SIZES)
        blend_digit(picture, ink, *self.place(ink, PATCH)[:2], self.rng)
        return picture

    def scene(self) -> tuple[np.ndarray, list[tuple[str, Box]]]:
        """One to four digits on a crop: uint8 (120, 160, 3) in BGR, and the name and box of each digit.

        Boxes are ``(y1, x1, y2, x2)``, half-open, tight around the ink. A digit that finds no place in ten tries
        where it shares less than a tenth of the smaller box is left out.
        """
        picture = draw_background(self.photographs, SCENE, self.rng)
        objects: list[tuple[str, Box]] = []
        for _ in range(self.rng.integers(1, 5)):
            name = CLASSES[self.rng.integers(len(CLASSES))]
            ink = self.digit(name, SCENE_SIZES)
            for _ in range(10):
                box = self.place(ink, SCENE)
                if all(_shared(box, other) < 0.1 for _, other in objects):
                    blend_digit(picture, ink, *box[:2], self.rng)
                    objects.append((name, box))
                    break
        return picture, objects


def _shared(a: Box, b: Box) -> float:
    """Intersection of two boxes over the area of the smaller one."""
    height = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return height * width / min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))


def voc_xml(stem: str, objects: list[tuple[str, Box]]) -> str:
    """The annotation of a scene as VOC writes it: corners count from 1, and the last pixel belongs to the box."""
    rows = "".join(
        f"  <object>\n    <name>{name}</name>\n    <truncated>0</truncated>\n    <difficult>0</difficult>\n"
        f"    <bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>\n"
        "  </object>\n" for name, (y1, x1, y2, x2) in objects)
    return (f"<annotation>\n  <filename>{stem}.jpg</filename>\n  <size><width>{SCENE[1]}</width>"
            f"<height>{SCENE[0]}</height><depth>3</depth></size>\n{rows}</annotation>\n")


def tree_sha256(folder: Path) -> str:
    """SHA-256 over the names (relative, sorted) and bytes of all files in ``folder`` but its manifest."""
    total = hashlib.sha256()
    for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()):
        if name != "manifest.json":
            total.update(name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).digest())
    return total.hexdigest()


def make_digit_scenes(out: str | Path, *, seed: int = 0, train_scenes: int = 240, test_scenes: int = 80,
                      pretrain_train: int = 2000, pretrain_test: int = 500) -> None:
    """Write the demo data into the new folder ``out``, or do nothing where the same data is already there.

    It holds ``detection/`` in VOC layout (``JPEGImages``, ``Annotations``, ``ImageSets/Main/{train,test}.txt``;
    160x120 pixels), ``classification/{train,test}/<class>/NNNN.png`` (32x32 pixels), ``LICENSES.md`` and
    ``manifest.json``. The two parts share scans and photographs, train and test share none. The same arguments give
    the same bytes under the same versions of the libraries that the manifest names. Each of the four sets has a
    random stream of its own, so asking for more of one leaves the other three as they are.

    The folder appears complete or not at all: everything is written beside it and moved at the end.

    Args:
        out: Folder to make; it may exist if it is empty.
        seed: Seed of all randomness, 0 or more.
        train_scenes, test_scenes: Pictures for detection.
        pretrain_train, pretrain_test: Pictures for pretraining, over the classes in turn.

    Raises:
        ValueError: If there would be less than one picture of a class, or the seed is negative.
        FileExistsError: If ``out`` holds anything else; nothing of it is changed.
    """
    sets = {"detection train": train_scenes, "detection test": test_scenes,
            "classification train": pretrain_train, "classification test": pretrain_test}
    if seed < 0 or min(train_scenes, test_scenes) < 1 or min(pretrain_train, pretrain_test) < len(CLASSES):
        raise ValueError(f"want a seed >= 0, scenes >= 1 and pretraining pictures >= {len(CLASSES)} (one a class), "
                         f"got seed={seed}, {sets}")
    out = Path(out).absolute()
    wanted = {"recipe": RECIPE, "seed": seed, "pictures": sets}
    if _holds(out, wanted):
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as unfinished:
        work = Path(unfinished, "data")
        streams = np.random.SeedSequence(seed).spawn(len(sets))
        for (part, number), stream in zip(sets.items(), streams):
            task, split = part.split()
            painter = Painter(split, stream)
            write = _write_scenes if task == "detection" else _write_patches
            for done, _ in enumerate(write(work / task, split, number, painter), 1):
                if sys.stderr.isatty():
                    print(f"\r{part}: {done} of {number}", end="\n" * (done == number), file=sys.stderr)
        (work / "LICENSES.md").write_text(_licences(), encoding="utf-8")
        versions = {m.__name__: m.__version__ for m in (cv2, np, skimage, sklearn)}
        manifest = {**wanted, "classes": CLASSES, "versions": versions, "sha256": tree_sha256(work)}
        (work / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        try:
            work.rename(out)
        except OSError:
            # Another process may have been quicker: its data is as good as this.
            if not _holds(out, wanted):
                raise


def _holds(out: Path, wanted: dict[str, Any]) -> bool:
    """Whether ``out`` is complete data of these arguments; FileExistsError if it is anything else but empty."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        manifest = json.loads((out / "manifest.json").read_text())
        if all(manifest.get(key) == value for key, value in wanted.items()):
            return True
    except (OSError, ValueError, AttributeError):
        pass
    raise FileExistsError(f"{out} exists and is not the demo data asked for ({wanted}): name another folder, or "
                          "remove this one yourself")


def _write_scenes(folder: Path, split: str, number: int, painter: Painter) -> Iterator[None]:
    stems = [f"{split}_{index:05d}" for index in range(number)]
    for stem in stems:
        picture, objects = painter.scene()
        _write(folder / "JPEGImages" / f"{stem}.jpg", picture)
        _write(folder / "Annotations" / f"{stem}.xml", voc_xml(stem, objects))
        yield
    _write(folder / "ImageSets" / "Main" / f"{split}.txt", "\n".join(stems) + "\n")


def _write_patches(folder: Path, split: str, number: int, painter: Painter) -> Iterator[None]:
    for index in range(number):
        within, which = divmod(index, len(CLASSES))
        _write(folder / split / CLASSES[which] / f"{within:04d}.png", painter.patch(CLASSES[which]))
        yield


def _write(path: Path, content: str | np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
    else:
        options = [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_PNG_COMPRESSION, 6]
        path.write_bytes(cv2.imencode(path.suffix, content, options)[1].tobytes())


def _licences() -> str:
    lines = "".join(f"- {p.title} (`{p.file}`, {p.split}): {p.author}, {p.source}; {p.licence}.\n"
                    for p in PHOTOGRAPHS)
    return f"""# Sources of these pictures

The pictures are drawings made from the following; the scans were enlarged, turned, stretched, coloured and pasted
on crops of the photographs.

Handwritten digits: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, https://archive.ics.uci.edu/dataset/80, licence CC BY 4.0; as distributed with scikit-learn
(`load_digits`).

Photographs, as distributed with scikit-image (`skimage.data`):

{lines}"""


def main(argv: list[str] | None = None) -> None:
    """Command line of :func:`make_digit_scenes`."""
    parser = argparse.ArgumentParser(description="Write the demo data: handwritten digits on photographs.",
                                     epilog="example: python -m smix_mm.datasets.digits data/digits --seed 0")
    parser.add_argument("out", help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="seed of all randomness (default: 0)")
    arguments = parser.parse_args(argv)
    try:
        make_digit_scenes(arguments.out, seed=arguments.seed)
    except (FileExistsError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
