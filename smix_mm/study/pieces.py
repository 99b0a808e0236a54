"""Pieces of a study: finished runs, exported without weights from one machine and imported on another."""

from __future__ import annotations

import ast
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Mapping, Sequence

from ..transfer.checkpoint import read_checkpoint
from ..utils.errors import UsageError
from ..utils.files import atomic_path, file_hash, sync_folder, write_json
from ..utils.imported_code import changed_code
from ..utils.text import first_few
from .commands import Placement, _lock, _make_worker, _study_folder, _study_json, report
from .config import load_study
from .plan import plan_study, run_state
from .record import read_marker, set_aside
from .report.results import read_result
from .run import BACKBONE, CURVE, DETECTIONS, MARKER, PROVENANCE, RESULT, SHEET, STALE, STUDY, Run
from .worker import Worker

_SAME = ("name", "metric", "planned", "detectors")
Markers = Mapping[Run, Mapping[str, Any]]


def export_study(work_dir: str | Path, out: str | Path) -> None:
    """Copy the finished runs of a study without their weights to a small folder, and write the report there.

    The folder has what :func:`~smix_mm.study.commands.report`, :func:`~smix_mm.study.verify.verify_study` and
    :func:`import_study` need. It may contain earlier pieces of the study; their runs are kept. A pretraining without
    all of its fine-tunings is left out, since they could not be done elsewhere without its backbone.

    Raises:
        UsageError: the folders are the same, or ``out`` has another study, a run that the study does not name, or
            another result of a run. Nothing is written then.
    """
    folder, target = _study_folder(work_dir), Path(out).absolute()
    if folder.resolve() == target.resolve():
        raise UsageError(f"out should be another folder than the work dir, got {out}.")
    study = _read_json(folder / STUDY)
    runs, damaged, left = _complete(folder, [Run.parse(name) for name in study["runs"]])
    for problem in (*damaged, *left):
        print(f"left out: {problem}")
    if (target / STUDY).is_file():
        earlier = _read_json(target / STUDY)
        _check_same(study, earlier, out)
        lost = [name for name in earlier["runs"] if name not in study["runs"] and (target / name / MARKER).is_file()]
        if lost:
            raise UsageError(f"the study should name all runs in {out}, but it does not name {first_few(lost, 3)}.")
    added = _add(folder, target, {run: _portable(folder, run) for run in runs})
    for name in (STUDY, SHEET):
        _copy(folder / name, target / name)
    print(f"export: {added} runs added to {out}, {len(runs) - added} were there already", flush=True)
    if runs:
        report(target)


def import_study(config: str | Path, piece: str | Path, work_dir: str | Path) -> None:
    """Add the finished runs of an earlier piece to a work dir, so that they are not executed again.

    Args:
        config: the study's config.
        piece: a folder that :func:`export_study` wrote, or a work dir.
        work_dir: folder of the study, new or with runs. An unfinished run of an imported one is set aside.

    Raises:
        UsageError: the piece belongs to another study, a run has another config (paths of data aside), other inputs
            or other code, a file was changed, or the work dir has another result of a run. Nothing is written then.
    """
    study, folder, source = load_study(config), Path(work_dir).absolute(), _study_folder(piece)
    if folder.resolve() == source.resolve():
        raise UsageError(f"the piece should be another folder than the work dir, got {piece}.")
    planned = plan_study(study)
    content = _study_json(study, planned, config)
    _check_same(content, _read_json(source / STUDY), piece)
    with _lock(folder, work_dir):
        runs, problems, left = _complete(source, planned)
        worker, markers = _make_worker(study, folder, Placement()), {}
        for run in runs:
            try:
                markers[run] = _checked_marker(worker, source, run)
            except (OSError, ValueError, KeyError, SyntaxError, UsageError) as error:
                problems.append(f"{run.name}: {error}")
        if problems:
            raise UsageError("\n  ".join([f"{piece} cannot be imported, and nothing was:", *problems]))
        added = _add(source, folder, markers)
        if not (folder / STUDY).is_file():
            write_json(folder / STUDY, content)
        for problem in left:
            print(f"left out: {problem}")
        others = len(set(_read_json(source / STUDY)["runs"]) - set(content["runs"]))
        print(f"import: {added} runs added to {work_dir}, {len(runs) - added} were there already", end="")
        print(f"; {others} that {config} does not name were left out" if others else "", flush=True)


def _complete(folder: Path, runs: Sequence[Run]) -> tuple[list[Run], list[str], list[str]]:
    """The finished runs whose backbone no unfinished one needs, and sentences on damaged and other finished ones."""
    states = {run: run_state(run, folder, check_content=True) for run in runs}
    damaged = [f"{run.name}: {state.lines[0]}" for run, state in states.items() if state.state == "damaged"]
    finished = [run for run, state in states.items() if state.state == "finished"]
    waiting = {run.needs: run for run in runs if run.needs is not None and run not in finished}
    left = [run for run in finished if (run.needs or run) in waiting]
    reasons = [f"{run.name}: {waiting[run.needs or run].name} needs the backbone and is not finished" for run in left]
    return [run for run in finished if run not in left], damaged, reasons


def _portable(folder: Path, run: Run) -> dict[str, Any]:
    """The record of a finished run without its backbone, of which the hash is kept."""
    marker = read_marker(folder / run.name) or {}
    if run.detector is None and BACKBONE in marker["outputs"]:
        marker["backbone"] = read_checkpoint(folder / run.name / BACKBONE)["meta"]["hash"]
        del marker["outputs"][BACKBONE]
    return marker


def _checked_marker(worker: Worker, source: Path, run: Run) -> dict[str, Any]:
    """The record of a run of a piece, with the inputs of this machine.

    Raises:
        ValueError: the run is not one of this study on this machine.
    """
    marker, config = _portable(source, run), worker._config(run)
    result = read_result(source, run.name)
    if run.needs is not None and _portable(source, run.needs).get("backbone") != result.backbone_hash:
        raise ValueError(f"it started from another backbone than that of {run.needs.name}")
    inputs = worker._inputs(run, result.backbone_hash)
    changed = {name for name in {*inputs, *marker["inputs"]} if inputs.get(name) != marker["inputs"].get(name)}
    if config is not None:
        text = _read_json(source / run.name / PROVENANCE)["config"]
        names = {name for name in inputs if name.endswith("'s config")}
        changed = changed - names if _content(text) == _content(config.text) else changed | names
    if changed:
        raise ValueError(f"the piece has another value of {', '.join(sorted(changed))}; use the study that it ran")
    files = changed_code(marker.get("code", {}))
    if files:
        raise ValueError(
            f"the package's {first_few(files, 3)} changed since; use the commit that its {PROVENANCE} names"
        )
    return {**marker, "inputs": inputs}


def _content(text: str) -> str:
    """A config's text without its layout and without the folders of its data."""
    tree = ast.parse(text)
    roots = _data_roots(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for root in roots:
                if node.value == root or node.value.startswith(f"{root}/"):
                    node.value = f"DATA{node.value[len(root) :]}"
                    break
    return ast.dump(tree)


def _data_roots(tree: ast.AST) -> list[str]:
    """Values of every ``data_root``, the longest first."""
    named = [(node.arg, node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named.append((node.targets[0].id, node.value))
    values = {value.value for name, value in named if name == "data_root" and isinstance(value, ast.Constant)}
    return sorted((str(value).rstrip("/") for value in values if value), key=len, reverse=True)


def _add(source: Path, target: Path, markers: Markers) -> int:
    """Copy runs that the target does not have, each at once; their number.

    Raises:
        UsageError: the target has another result of one, or a process executes it. Nothing is copied then.
    """
    new, problems = [], []
    for run in markers:
        state = run_state(run, target)
        if state.state == "running":
            problems.append(f"{run.name} is being executed")
        elif state.state in ("finished", "damaged") and any(
            _hash(source / run.name / name) != _hash(target / run.name / name) for name in (RESULT, DETECTIONS)
        ):
            problems.append(f"{run.name} has another result there")
        elif state.state != "finished":
            new.append(run)
    if problems:
        raise UsageError("\n  ".join([f"{target} should have no other results of the same runs:", *problems]))
    for run in new:
        folder = target / run.name
        if folder.exists():
            set_aside(folder, "results of a finished run were added")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}{STALE}", dir=folder.parent))
        try:
            for name in (RESULT, CURVE, DETECTIONS):
                _copy(source / run.name / name, temporary / name)
            if (source / run.name / PROVENANCE).is_file():
                content = _read_json(source / run.name / PROVENANCE)
                for root in _data_roots(
                    ast.parse(content["config"])
                ):  # of a folder only the name, as it may be published
                    content["config"] = content["config"].replace(repr(root)[:-1], repr(Path(root).name)[:-1])
                write_json(temporary / PROVENANCE, content)
            write_json(temporary / MARKER, markers[run])
            temporary.chmod(folder.parent.stat().st_mode & 0o777)
            os.rename(temporary, folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return len(new)


def _check_same(study: Mapping[str, Any], other: Mapping[str, Any], place: str | Path) -> None:
    for key in _SAME:
        if study.get(key) != other.get(key):
            raise UsageError(
                f"{place} should be of the same study: its {key} is {other.get(key)!r}, expected {study.get(key)!r}."
            )


def _copy(path: Path, copy: Path) -> None:
    if path.is_file():
        with atomic_path(copy) as temporary:
            shutil.copyfile(path, temporary)


def _hash(path: Path) -> str | None:
    return file_hash(path) if path.is_file() else None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} should be a file of JSON, got {error}. Restore it from the study's folder."
        ) from error
