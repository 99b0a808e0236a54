"""Pieces of a study: finished runs, exported without weights, imported on another machine, and verified."""

from __future__ import annotations

import ast
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from ..transfer.checkpoint import read_checkpoint, state_dict_hash
from ..utils.errors import UsageError
from ..utils.files import atomic_path, file_hash, sync_folder, write_json
from ..utils.imported_code import changed_code
from ..utils.text import first_few
from . import run as record
from .commands import describe_study, lock_study, make_worker, report, study_folder
from .config import load_study
from .report.results import read_result
from .run import Run, find_runs, plan_study, run_state
from .worker import Worker


def export_study(work_dir: str | Path, out: str | Path) -> None:
    """Add the finished runs of a study without their weights to a small folder, and write the report there.

    The folder is enough for the report, :func:`verify_study` and :func:`import_study`. A pretraining without all of
    its fine-tunings is left out, since another machine would need its backbone for them.

    Raises:
        UsageError: ``out`` is the work dir, or has another study, a run that the study does not name, or another
            result of a run. Nothing is written then.
    """
    folder, target = study_folder(work_dir), Path(out).absolute()
    study = record.read_json(folder / record.STUDY)
    runs, damaged, left = _complete(folder, [Run.parse(name) for name in study["runs"]])
    if (target / record.STUDY).is_file():
        earlier = _check_same(study, target, folder)
        lost = [
            name for name in earlier["runs"] if name not in study["runs"] and (target / name / record.MARKER).is_file()
        ]
        if lost:
            raise UsageError(f"the study should name all runs in {out}, but it does not name {first_few(lost, 3)}.")
    added = _add(folder, target, {run: _portable(folder, run) for run in runs})
    for name in (record.STUDY, record.SHEET):
        _copy(folder / name, target / name)
    print("\n".join([*(f"left out: {reason}" for reason in (*damaged, *left)), f"export: {added} runs added to {out}"]))
    if runs:
        report(target)


def import_study(config: str | Path, piece: str | Path, work_dir: str | Path) -> None:
    """Add the finished runs of a piece, exported or a work dir, to a work dir, so that they are not executed again.

    The work dir may be new or have runs; an unfinished one of the same name is set aside.

    Raises:
        UsageError: the piece is of another study, a run has another config (folders of data aside), other inputs or
            other code, a file was changed, or the work dir has another result of a run. Nothing is written then.
    """
    study, folder, source = load_study(config), Path(work_dir).absolute(), study_folder(piece)
    planned = plan_study(study)
    content = describe_study(study, planned, config)
    others = len(set(_check_same(content, source, folder)["runs"]) - set(content["runs"]))
    with lock_study(folder, work_dir):
        runs, problems, left = _complete(source, planned)
        worker, markers = make_worker(study, folder), {}
        for run in runs:
            try:
                markers[run] = _checked_marker(worker, source, run)
            except (OSError, ValueError, KeyError, SyntaxError) as error:
                problems.append(f"{run.name}: {error}")
        if problems:
            raise UsageError("\n  ".join([f"{piece} cannot be imported, and nothing was:", *problems]))
        added = _add(source, folder, markers)
        write_json(folder / record.STUDY, content)
    left += [f"{others} runs that {config} does not name"] if others else []
    print("\n".join([*(f"left out: {one}" for one in left), f"import: {added} runs added to {work_dir}"]))


def verify_study(work_dir: str | Path) -> list[str]:
    """Verify every result of a study.

    Compares the hashes of all result files, the hashes of the backbones' tensors, the backbone that each load proof
    names, and every figure of the test, which is computed again from the stored predictions.

    Returns:
        a sentence for each difference.
    """
    folder = Path(work_dir).absolute()
    runs = find_runs(folder)
    differences = [] if runs else [f"{work_dir} contains no runs"]
    for run in runs:
        marker = record.read_marker(folder / run.name)
        if marker is None or not marker["outputs"]:
            differences.append(f"{run.name} is not finished")
            continue
        damaged = record.damaged_outputs(folder / run.name, marker)
        differences += [f"{run.name}/{damaged}"] if damaged else []
        try:
            differences += [f"{run.name}: {found}" for found in _differences(run, folder, marker)]
        except (OSError, ValueError, KeyError) as error:
            differences.append(f"{run.name} cannot be checked: {type(error).__name__}: {error}")
    return differences


def _differences(run: Run, folder: Path, marker: Mapping[str, Any]) -> Iterator[str]:
    """What differs between a result and its files."""
    from ..evaluation import recompute

    result = record.read_json(folder / run.name / record.RESULT)
    if run.needs is None:
        if record.BACKBONE in marker["outputs"]:
            content = read_checkpoint(folder / run.name / record.BACKBONE)
            if state_dict_hash(content["state_dict"]) != content["meta"]["hash"]:
                yield f"{record.BACKBONE} contains tensors with another hash than the file states"
        return
    detections = folder / run.name / record.DETECTIONS
    backbone_hash = _portable(folder, run.needs)["backbone"]
    if not result["backbone_hash"] == result["load_proof"]["backbone_hash"] == backbone_hash:
        yield f"it started from another backbone than that of {run.needs.name}"
    if result["detections"] != file_hash(detections):
        yield f"{record.DETECTIONS} is not the file that {record.RESULT} was computed from"
    computed = recompute(detections)
    for metric, figure in result["metrics"].items():
        # Sums may differ in their last bit on another machine.
        if metric not in computed or not abs(figure - computed[metric]) <= 1e-9:
            yield f"{metric} is {figure} in {record.RESULT}, but {computed.get(metric)} by the stored predictions"


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
    """The record of a finished run with the hash of its backbone in place of the file."""
    marker = record.read_marker(folder / run.name) or dict(outputs={})
    if run.needs is None and marker["outputs"].pop(record.BACKBONE, None):
        marker["backbone"] = read_checkpoint(folder / run.name / record.BACKBONE)["meta"]["hash"]
    return marker


def _checked_marker(worker: Worker, source: Path, run: Run) -> dict[str, Any]:
    """The record of a run with the inputs of this machine; a ValueError if it is not the study's run."""
    marker, config, result = _portable(source, run), worker.config(run), read_result(source, run.name)
    if run.needs is not None and _portable(source, run.needs).get("backbone") != result.backbone_hash:
        raise ValueError(f"it started from another backbone than that of {run.needs.name}")
    inputs = worker.inputs(run, result.backbone_hash)
    changed = record.changed_inputs(marker, inputs)
    if config is not None:  # its hash depends on the folders of data, its content here does not
        texts = [record.read_json(source / run.name / record.PROVENANCE)["config"], config.text]
        changed = [name for name in changed if not name.endswith("'s config")]
        if len({ast.dump(ast.parse(_without_folders(text))) for text in texts}) > 1:
            changed.append("its config")
    if changed:
        raise ValueError(f"the piece has another value of {', '.join(changed)}; use the study that it ran")
    files = changed_code(marker.get("code", {}))
    if files:
        raise ValueError(
            f"the package's {first_few(files, 3)} changed since; use the commit named in {record.PROVENANCE}"
        )
    return {**marker, "inputs": inputs}


def _without_folders(text: str) -> str:
    """A config's text with ``DATA`` in place of the folders of its data."""
    for root in sorted(re.findall(r"\bdata_root ?= ?'([^']+)'", text), key=len, reverse=True):
        text = re.sub(rf"'{re.escape(root.rstrip('/'))}(?=['/])", "'DATA", text)
    return text


def _add(source: Path, target: Path, markers: Mapping[Run, Mapping[str, Any]]) -> int:
    """Copy runs that the target does not have, each at once; their number. If one conflicts, nothing is copied."""
    new, problems = [], []
    for run, marker in markers.items():
        one, other, state = source / run.name, target / run.name, run_state(run, target).state
        if state == "running":
            problems.append(f"{run.name} is being executed")
        elif state in ("finished", "damaged"):
            files = [name for name in marker["outputs"] if (other / name).is_file()]
            if any(file_hash(one / name) != file_hash(other / name) for name in files):
                problems.append(f"{run.name} has another result there")
        if state != "finished":
            new.append(run)
    if problems:
        raise UsageError("\n  ".join([f"{target} should have no other results of the same runs:", *problems]))
    for run in new:
        one, folder = source / run.name, target / run.name
        if folder.exists():
            record.set_aside(folder, "results of a finished run were added")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}{record.STALE}", dir=folder.parent))
        try:
            for name in (record.RESULT, record.CURVE, record.DETECTIONS):
                _copy(one / name, temporary / name)
            if (one / record.PROVENANCE).is_file():
                content = record.read_json(one / record.PROVENANCE)
                write_json(temporary / record.PROVENANCE, {**content, "config": _without_folders(content["config"])})
            write_json(temporary / record.MARKER, markers[run])
            temporary.chmod(folder.parent.stat().st_mode & 0o777)
            os.rename(temporary, folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return len(new)


def _check_same(study: Mapping[str, Any], place: Path, folder: Path) -> dict[str, Any]:
    """The ``study.json`` of a piece, which should be of the study and not in its work dir."""
    if place.resolve() == folder.resolve():
        raise UsageError(f"the piece should be another folder than the work dir, got {place}.")
    other = record.read_json(place / record.STUDY)
    for key in ("name", "metric", "planned", "detectors"):
        if study.get(key) != other.get(key):
            raise UsageError(
                f"{place} should be of the same study: its {key} is {other.get(key)!r}, expected {study.get(key)!r}."
            )
    return other


def _copy(path: Path, copy: Path) -> None:
    if path.is_file():
        with atomic_path(copy) as temporary:
            shutil.copyfile(path, temporary)
