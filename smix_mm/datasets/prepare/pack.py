"""Class folders of images packed into few large files, with smaller images."""

from __future__ import annotations

import itertools
import json
import zlib
from functools import partial
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from ...utils.errors import DataError, PackageError, UsageError
from ...utils.files import sync_folder, write_json, write_text
from ...utils.progress import in_parallel
from ...utils.text import first_few
from ..check.images import is_whole, read_size
from ..check.listing import list_samples
from ..check.splits import Split
from .data_set import SHOWN, CheckResult, Counts, Log

SHORT_SIDE = 256
QUALITY = 95

_HASHES = b"crc32"
_SETTINGS = "pack.json"
_CHUNK = 1024
# The file grows as it is written; this is address space.
_MAP_SIZE = 1 << 40


def pack(folder: Path, target: Path, splits: list[str], short_side: int, quality: int, log: Log) -> None:
    """Pack ``folder/<split>/<class>/`` into ``target``, which appears when it is complete.

    For each split, ``<split>.lmdb`` has a JPEG for each image under the key ``<class>/<file>``, as mmengine's
    ``LmdbBackend`` reads it, and their CRC-32 in its database ``crc32``; ``<split>.txt`` lists keys and class numbers
    in the order in which mmpretrain reads the folders. A JPEG whose short side is at most ``short_side`` is stored as
    it is; any other image is resized to that (area interpolation) and encoded with ``quality``. Interrupted work is
    resumed after the last 1,024 images that are on the disk. Options and errors: :func:`~.prepare.pack_data`.
    """
    check_options(short_side, quality)
    settings = dict(short_side=short_side, quality=quality)
    unfinished = target.with_name(f".{target.name}.packing")
    unfinished.mkdir(parents=True, exist_ok=True)
    begun = unfinished / _SETTINGS
    before = json.loads(begun.read_text()) if begun.is_file() else settings
    if before != settings:
        raise UsageError(
            f"{unfinished} was begun with short side {before['short_side']} and quality {before['quality']}, got "
            f"{short_side} and {quality}; give the same ones, or delete that folder to start again"
        )
    write_json(begun, settings)
    classes: tuple[str, ...] = ()
    for split in splits:
        names, samples = _samples(folder / split)
        if classes and names != classes:
            raise DataError(f"{folder / split} should have the class folders of {folder / splits[0]}")
        classes = names
        _pack_split(folder / split, unfinished / f"{split}.lmdb", [key for key, _ in samples], settings)
        write_text(unfinished / f"{split}.txt", "".join(f"{key} {label}\n" for key, label in samples))
        log(f"{split}: {len(samples):,} images packed")
    write_text(unfinished / "classes.txt", "".join(f"{name}\n" for name in classes))
    unfinished.rename(target)
    sync_folder(target.parent)


def check_options(short_side: int, quality: int) -> None:
    """Refuse options of :func:`pack` that are out of range."""
    if short_side < 1 or not 1 <= quality <= 100:
        raise UsageError(
            f"short side and quality should be at least 1, and from 1 to 100, got {short_side} and {quality}"
        )


def _samples(folder: Path) -> tuple[tuple[str, ...], list[tuple[str, int]]]:
    """Class folders, and keys with class numbers, in the order in which mmpretrain reads them."""
    listing = list_samples(Split(("train",), "folders", "", "", str(folder)))
    for one in listing.findings:
        if one.kind in ("missing-split", "empty-split"):
            raise DataError(f"{folder} {one.detail}; run this without --pack first")
    keys = [sample.name for sample in listing.samples]
    if odd := [key for key in keys if not key.isascii() or key != key.strip() or "\n" in key]:
        raise DataError(f"names of images to pack should be ASCII without line breaks, got {first_few(odd, SHOWN)}")
    return listing.folders, list(zip(keys, listing.labels()))


def _pack_split(folder: Path, database: Path, keys: list[str], settings: dict[str, int]) -> None:
    with _open(database, map_size=_MAP_SIZE, max_dbs=1) as environment:
        hashes = environment.open_db(_HASHES)
        with environment.begin() as reader:
            missing = [key for key in keys if reader.get(key.encode(), db=hashes) is None]
        contents = in_parallel(partial(_encode, folder, settings), missing, label=f"packing {folder.name}")
        records = zip(missing, contents)
        while chunk := list(itertools.islice(records, _CHUNK)):
            # The records of a transaction are on the disk together, or not at all.
            with environment.begin(write=True) as writer:
                for key, content in chunk:
                    writer.put(key.encode(), content)
                    writer.put(key.encode(), f"{zlib.crc32(content):08x}".encode(), db=hashes)


def _encode(folder: Path, settings: dict[str, int], key: str) -> bytes:
    """The record of an image."""
    import cv2

    path = folder / key
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"image {path} cannot be read ({error.strerror or error})") from None
    image = None
    if content and is_whole(content):
        size = read_size(content) if content.startswith(b"\xff\xd8") else None
        if size is not None and min(size) <= settings["short_side"]:
            return content
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"image {path} is truncated or not an image; replace it or remove it, and run this again")
    factor = settings["short_side"] / min(image.shape[:2])
    if factor < 1:
        height, width = (max(1, round(side * factor)) for side in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, settings["quality"]])[1].tobytes()


def check_packed(name: str, target: Path, expected: Counts) -> CheckResult:
    """Count the records of a packed data set, and compare each with its CRC-32."""
    result, counts = CheckResult(name, verified="every record has its CRC-32"), {}
    for split in expected.images:
        listed = target / f"{split}.txt"
        if not listed.is_file() or not (target / f"{split}.lmdb").is_dir():
            result.errors.append(f"{target} lacks {split}.txt or {split}.lmdb")
            return result
        keys = [line.rpartition(" ")[0] for line in listed.read_text().splitlines()]
        counts[split] = len(keys)
        result.errors += [f"{split}.lmdb: {error}" for error in _damaged(target / f"{split}.lmdb", keys)]
    classes = (target / "classes.txt").read_text().splitlines()
    if len(classes) != expected.classes:
        result.errors.append(f"classes.txt has {len(classes)} classes, expected {expected.classes}")
    result.compare(counts, expected, len(classes))
    result.summary += f" in {target}"
    return result


def _damaged(database: Path, keys: list[str]) -> Iterator[str]:
    lmdb = _lmdb()
    try:
        with _open(database, max_dbs=1, readonly=True, lock=False, readahead=False) as environment:
            hashes = environment.open_db(_HASHES, create=False)
            with environment.begin(buffers=True) as reader:
                for key in keys:
                    content, stored = reader.get(key.encode()), reader.get(key.encode(), db=hashes)
                    if content is None or stored is None:
                        yield f"{key} is missing"
                    elif f"{zlib.crc32(content):08x}".encode() != bytes(stored):
                        yield f"{key} is damaged"
    except lmdb.Error as error:
        yield f"cannot be read ({error})"


def _open(database: Path, **options: Any) -> Any:
    return _lmdb().open(str(database), **options)


def _lmdb() -> Any:
    try:
        import lmdb
    except ImportError:
        raise PackageError("lmdb is not installed, which packed images need; pip install lmdb") from None
    return lmdb
