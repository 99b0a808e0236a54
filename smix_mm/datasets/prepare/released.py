"""The released ResNet-50 of each row of the paper's detection table: checked, and put where the study reads them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

from ...utils.errors import CheckpointError
from ...utils.files import atomic_path, file_hash, write_json
from ...utils.text import first_few
from .data_set import CheckResult, Log

FOLDER = "released-backbones"
VARIABLE = "SMIX_RELEASED"
"""Environment variable with the folder that studies read; defaults to ``data/released-backbones``."""
_RECORD = "released.json"
_CUTMIX = "https://github.com/clovaai/CutMix-PyTorch"
_SALIENCYMIX = "https://github.com/SaliencyMix/SaliencyMix"


class Release(NamedTuple):
    """A checkpoint that its authors offer for download.

    Attributes:
        error: its top-1 error on ImageNet's val set, in percent, by the README.
        readme: the repository with the README.
        link: where in the README its link is.
    """

    error: float
    readme: str
    link: str


RELEASES: Mapping[str, Release] = {
    "baseline": Release(23.68, _CUTMIX, "row 'ResNet-50 (baseline)'"),
    "cutout": Release(22.93, _CUTMIX, "row 'ResNet-50 + Cutout'"),
    "mixup": Release(22.58, _CUTMIX, "row 'ResNet-50 + Mixup'"),
    "cutmix": Release(21.40, _CUTMIX, "row 'ResNet-50 + Cutmix'"),
    "saliencymix": Release(21.26, _SALIENCYMIX, "'Trained models', folder ResNet50_SaliencyMix_21.26"),
}


class ReleasedBackbones:
    """``released-backbones``: ``<root>/released-backbones/<row>.pth.tar``, and ``released.json`` with their hashes."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.folder = name, root / FOLDER

    def prepare(self, sources: Sequence[Path], log: Log) -> None:
        """Copy the files in ``sources``, which are recognised by the error that they claim, to their names.

        Raises:
            CheckpointError: a file is not the expected one; or one is missing, with where to download each.
        """
        for source in sources:
            for path in sorted(source.rglob("*.pth*")) if source.is_dir() else [source]:
                claimed = describe_release(path)["best_err1"]
                row = _row_of(claimed)
                if row is None:
                    rows = ", ".join(f"{row} {release.error:.2f}" for row, release in RELEASES.items())
                    raise CheckpointError(
                        f"{path} claims a top-1 error of {claimed:.2f} %, which is of no row of the table: {rows}"
                    )
                target = _path(self.folder, row)
                if not target.is_file():
                    with atomic_path(target) as temporary:
                        shutil.copyfile(path, temporary)
                    log(f"{self.name}: {path} is the file of {row}, copied to {target}")
        missing = [row for row in RELEASES if not _path(self.folder, row).is_file()]
        if missing:
            lines = [f"\n  {_path(self.folder, row)}: {_origin(row)}" for row in missing]
            raise CheckpointError(
                f"{len(missing)} of {len(RELEASES)} files are missing; download each by hand and save it under this "
                f"name, or name the downloaded files with --from:{''.join(lines)}"
            )
        log(f"{self.name}: all {len(RELEASES)} files are in {self.folder}")

    def check(self) -> CheckResult:
        """Compare each file with its README and with the hash of an earlier check, and record the hashes."""
        result = CheckResult(self.name, verified="each is a ResNet-50 and claims the error of its README")
        record, found = self.folder / _RECORD, {}
        known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
        for row in RELEASES:
            try:
                found[row] = check_release(row, self.folder)
            except CheckpointError as error:
                result.errors.append(str(error))
                continue
            if row in known and known[row]["sha256"] != found[row]["sha256"]:
                result.errors.append(
                    f"{_path(self.folder, row)} has changed since its SHA-256 was recorded in {record}; download it "
                    "again, or remove that file if you replaced it on purpose"
                )
        if result.complete:
            write_json(record, found)
        claims = ", ".join(f"{row} {facts['best_err1']:.2f}" for row, facts in found.items())
        result.summary = f"top-1 errors in % as the files claim: {claims}; SHA-256 in {record}"
        return result


def find_release(row: str) -> Path:
    """The checked file of a row, in the folder that ``SMIX_RELEASED`` names.

    Raises:
        CheckpointError: there is no such row; or its file is missing or not the expected one.
    """
    folder = Path(os.environ.get(VARIABLE) or Path("data") / FOLDER)
    if row not in RELEASES:
        raise CheckpointError(f"a released backbone should be one of {', '.join(RELEASES)}, got {row}")
    check_release(row, folder)
    return _path(folder, row)


def check_release(row: str, folder: Path) -> dict[str, Any]:
    """The facts of the file of a row, see :func:`describe_release`.

    Raises:
        CheckpointError: it is missing, or its architecture or the error that it claims is another one.
    """
    path = _path(folder, row)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; download it: {_origin(row)}")
    facts = describe_release(path)
    claimed = _row_of(facts["best_err1"])
    if claimed != row:
        raise CheckpointError(
            f"{path} should claim the top-1 error of {row}, {RELEASES[row].error:.2f} %, got "
            f"{facts['best_err1']:.2f} %{f', which is that of {claimed}' if claimed else ''}; download it again: "
            f"{_origin(row)}"
        )
    return {**facts, "source": RELEASES[row].readme}


def describe_release(path: Path) -> dict[str, Any]:
    """Read a checkpoint in the format of the CutMix authors' ``train.py``, which SaliencyMix's authors share.

    Returns:
        ``file``, ``sha256``, and as the file states them ``arch``, ``epoch``, and ``best_err1`` and ``best_err5`` in
        percent.

    Raises:
        CheckpointError: it is damaged, of another format, or not a ResNet-50 of 1000 classes in torchvision's names.
    """
    from ...transfer.checkpoint import read_checkpoint
    from ...transfer.layouts import choose_weights, extract_backbone

    content = read_checkpoint(path)
    keys = ("epoch", "arch", "state_dict", "best_err1", "best_err5")
    if absent := [key for key in keys if key not in content]:
        raise CheckpointError(
            f"{path} should be a training checkpoint with {', '.join(keys)}, but has no {', '.join(absent)}; "
            "download the file whose link the README gives"
        )
    tensors, _ = choose_weights(content, "averaged", path)
    shapes, expected = _shapes(tensors), _resnet50_shapes()
    differing = [name for name in {**expected, **shapes} if shapes.get(name) != expected.get(name)]
    if differing:
        raise CheckpointError(
            f"{path} should hold a ResNet-50, but {len(differing)} of its tensors are missing, of another shape or not "
            f"a ResNet-50's: {first_few(differing, 3)} (arch {content['arch']!r}); download the ResNet-50 of the README"
        )
    extract_backbone(tensors, path)  # refuses weights that are NaN or all zero
    try:
        figures = {key: float(content[key]) for key in ("epoch", "best_err1", "best_err5")}
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} should have numbers as epoch, best_err1 and best_err5: {error}") from error
    return dict(file=path.name, sha256=file_hash(path), arch=str(content["arch"]), **figures)


def _shapes(tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    # Checkpoints of older releases of torch lack the counters.
    return {name: tuple(value.shape) for name, value in tensors.items() if not name.endswith("num_batches_tracked")}


def _resnet50_shapes() -> dict[str, tuple[int, ...]]:
    import torch
    from torchvision.models import resnet50

    with torch.device("meta"):
        return _shapes(resnet50().state_dict())


def _path(folder: Path, row: str) -> Path:
    return folder / f"{row}.pth.tar"


def _row_of(error: float) -> str | None:
    return next((row for row, release in RELEASES.items() if abs(release.error - error) <= 0.0051), None)


def _origin(row: str) -> str:
    release = RELEASES[row]
    return f"model_best.pth.tar of {release.link} (top-1 error {release.error:.2f}) in the README of {release.readme}"
