"""The record of a run in its folder: what its result depends on, and whether it is finished, stale or damaged."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, Mapping

from ..utils.files import file_hash, write_json
from ..utils.imported_code import changed_code, read_imports
from ..utils.text import first_few
from .programs import LineCallback
from .run import CODE, FAILURE, LOG, MARKER, STALE

_ALL_CODE = "the package"
"""Input of records by earlier versions: a hash of all files, which does not show whether a training's files changed."""

_TEMPORARY = re.compile(r"\..+-[a-z0-9_]{8}(\.\w+)?")  # as atomic_path names them


def read_marker(folder: Path) -> dict[str, Any] | None:
    """The record: ``inputs``, ``outputs`` (empty until it is finished) and, if finished, ``code`` and ``seconds``."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    valid = isinstance(marker, dict) and all(isinstance(marker.get(key), dict) for key in ("inputs", "outputs"))
    return marker if valid else None


def damaged_outputs(folder: Path, marker: Mapping[str, Any], check_content: bool = True) -> list[str]:
    """Names of outputs that are missing or, if checked, whose content has changed since the run finished."""
    return [
        name
        for name, digest in marker["outputs"].items()
        if not (folder / name).is_file() or (check_content and file_hash(folder / name) != digest)
    ]


def why_stale(folder: Path, inputs: Mapping[str, str]) -> str | None:
    """Why a run that was started before has to start again with inputs that have these hashes, or None."""
    marker = read_marker(folder)
    if marker is None:
        kept = [path for path in folder.iterdir() if path.name not in (LOG, FAILURE)] if folder.is_dir() else []
        return f"its {MARKER} is missing or damaged" if any(not is_temporary(path) for path in kept) else None
    before = dict(marker["inputs"])
    is_old = before.pop(_ALL_CODE, None) is not None
    changed = sorted(name for name in {*inputs, *before} if inputs.get(name) != before.get(name))
    files = changed_code(marker.get("code") or read_imports(folder / CODE))
    if files:
        changed.append(f"the package's {first_few(files, 3)}")
    if changed:
        return f"of a change in: {', '.join(changed)}"
    if is_old and not marker["outputs"]:
        return "an earlier version began it and did not record the code that it used"
    damaged = damaged_outputs(folder, marker)
    return f"{', '.join(damaged)} is missing or was changed" if damaged else None


def begin(folder: Path, name: str, inputs: Mapping[str, str], log: LineCallback) -> bool:
    """Prepare the folder of a run, setting a stale one aside, with messages to ``log``; False if it is finished."""
    marker, stale = read_marker(folder), why_stale(folder, inputs)
    if stale is not None:
        log(f"{name}: done again, because {stale}; its files are kept in {set_aside(folder, stale).name}")
        marker = None
    elif marker is not None and marker["outputs"]:
        unknown = " by an earlier version, so whether its code has changed is unknown" if "code" not in marker else ""
        log(f"{name}: finished before{unknown}")
        return False
    clear_temporaries(folder)
    if marker is None:
        write_json(folder / MARKER, dict(inputs=inputs, outputs={}))
    return True


def finish(folder: Path, inputs: Mapping[str, str], outputs: Mapping[str, str], seconds: float) -> None:
    """Record that a run is finished."""
    code = read_imports(folder / CODE)
    write_json(folder / MARKER, dict(inputs=inputs, outputs=outputs, code=code, seconds=round(seconds, 1)))
    (folder / CODE).unlink(missing_ok=True)
    clear_temporaries(folder)


def set_aside(folder: Path, reason: str) -> Path:
    """Rename a folder to ``NAME.stale-DATE-NUMBER`` and record the reason in it; its new path."""
    number = 1
    while (target := folder.with_name(f"{folder.name}{STALE}{time.strftime('%Y-%m-%d')}-{number}")).exists():
        number += 1
    write_json(folder / MARKER, {**(read_marker(folder) or {}), "stale": reason})
    folder.rename(target)
    return target


def find_set_aside(study: Path) -> dict[Path, str]:
    """The folders that were set aside in a study, with the reasons."""
    found = {}
    for marker in sorted(study.rglob(f"*{STALE}*/{MARKER}")):
        content = json.loads(marker.read_text(encoding="utf-8"))
        if "stale" in content:
            found[marker.parent] = str(content["stale"])
    return found


def is_temporary(path: Path) -> bool:
    """Whether a file has a temporary name of :func:`~smix_mm.utils.files.atomic_path`."""
    return _TEMPORARY.fullmatch(path.name) is not None and path.is_file()


def clear_temporaries(folder: Path, pattern: str = "**/.*") -> None:
    """Remove the temporary files that killed processes left; none may work in the folder."""
    for path in filter(is_temporary, list(folder.glob(pattern))):
        path.unlink(missing_ok=True)
