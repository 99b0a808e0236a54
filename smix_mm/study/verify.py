"""Comparing the results of a study with what its files give when they are computed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

from ..transfer.checkpoint import read_checkpoint, state_dict_hash
from ..utils.errors import CheckpointError
from ..utils.files import file_hash
from .plan import find_runs
from .record import damaged_outputs, read_marker
from .run import BACKBONE, DETECTIONS, RESULT, Run


def verify_study(work_dir: str | Path) -> list[str]:
    """Verify every result of a study.

    Compares the hashes of all result files, the hashes of the backbones' tensors, the backbone that each load proof
    names, and every figure of the test, which is computed again from the stored predictions.

    Returns:
        a sentence for each difference.
    """
    folder = Path(work_dir).absolute()
    differences: list[str] = []
    runs = find_runs(folder)
    if not runs:
        differences.append(f"{work_dir} contains no runs")
    for run in runs:
        run_folder = folder / run.name
        marker = read_marker(run_folder)
        if marker is None or not marker["outputs"]:
            differences.append(f"{run.name} is not finished")
            continue
        differences += [f"{run.name}/{file} is missing or was changed" for file in damaged_outputs(run_folder, marker)]
        try:
            result = json.loads((run_folder / RESULT).read_text(encoding="utf-8"))
            if run.detector is None and BACKBONE in marker["outputs"]:
                content = read_checkpoint(run_folder / BACKBONE)
                if state_dict_hash(content["state_dict"]) != content["meta"]["hash"]:
                    differences.append(f"{run.name}/{BACKBONE} contains tensors with another hash than the file states")
            elif run.detector is not None:
                differences += _verify_detector(run, folder, result)
        except (OSError, ValueError, KeyError, CheckpointError) as error:
            differences.append(f"{run.name} cannot be checked: {type(error).__name__}: {error}")
    return differences


def _verify_detector(run: Run, folder: Path, result: Mapping[str, Any]) -> list[str]:
    from ..evaluation import recompute

    differences = []
    detections = folder / run.name / DETECTIONS
    assert run.needs is not None
    # Imported runs have the hash of their backbone, not the file.
    backbone_hash = (read_marker(folder / run.needs.name) or {}).get("backbone")
    if backbone_hash is None:
        backbone_hash = read_checkpoint(folder / run.needs.name / BACKBONE)["meta"]["hash"]
    if not result["backbone_hash"] == result["load_proof"]["backbone_hash"] == backbone_hash:
        differences.append(f"{run.name} started from another backbone than that of {run.needs.name}")
    if result["detections"] != file_hash(detections):
        differences.append(f"{run.name}/{DETECTIONS} is not the file that {RESULT} was computed from")
    computed = recompute(detections)
    for metric, figure in result["metrics"].items():
        # Sums may differ in their last bit on another machine.
        if metric not in computed or not abs(figure - computed[metric]) <= 1e-9:
            differences.append(
                f"{run.name}: {metric} is {figure} in {RESULT}, but {computed.get(metric)} by the stored predictions"
            )
    return differences
