"""Whether the results of a study are what its files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

from ..transfer.checkpoint import read_checkpoint, state_dict_hash
from ..utils.errors import CheckpointError
from ..utils.files import file_hash
from .plan import PRETRAINING, RESULT
from .runs import BACKBONE, DETECTIONS
from .steps import damaged_outputs, read_marker


def verify_study(work_dir: str | Path) -> list[str]:
    """Compare every result of a study with what can be computed again; the disagreements, in sentences.

    Hashes of all result files, hashes of the backbones' tensors, the backbone that each load proof
    names, and every figure of the test, from the stored predictions.
    """
    folder = Path(work_dir).absolute()
    wrong: list[str] = []
    results = sorted(path.parent for path in folder.rglob("step.json") if path.parent.name not in ("train", "test"))
    if not results:
        wrong.append(f"{work_dir} holds no runs")
    for place in results:
        name = str(place.relative_to(folder))
        marker = read_marker(place)
        if marker is None or not marker["outputs"]:
            wrong.append(f"{name} is not finished")
            continue
        wrong += [f"{name}/{file} is missing or was changed" for file in damaged_outputs(place, marker)]
        try:
            result = json.loads((place / RESULT).read_text(encoding="utf-8"))
            if place.name == PRETRAINING:
                wrong += _check_backbone(name, place)
            else:
                wrong += _check_detection(name, place, result)
        except (OSError, ValueError, KeyError, CheckpointError) as error:
            wrong.append(f"{name} cannot be checked: {type(error).__name__}: {error}")
    return wrong


def _check_backbone(name: str, place: Path) -> list[str]:
    content = read_checkpoint(place / BACKBONE)
    if state_dict_hash(content["state_dict"]) != content["meta"]["hash"]:
        return [f"{name}/{BACKBONE} holds other tensors than its hash says"]
    return []


def _check_detection(name: str, place: Path, result: Mapping[str, Any]) -> list[str]:
    from ..evaluation import recompute

    wrong = []
    source = read_checkpoint(place.parents[1] / PRETRAINING / BACKBONE)["meta"]["hash"]
    if not result["backbone_hash"] == result["load_proof"]["backbone_hash"] == source:
        wrong.append(f"{name} started from another backbone than {place.parents[1].name}/{PRETRAINING} published")
    if result["detections"] != file_hash(place / DETECTIONS):
        wrong.append(f"{name}/{DETECTIONS} is not the file that {RESULT} was computed from")
    again = recompute(place / DETECTIONS)
    for metric, figure in result["metrics"].items():
        if metric not in again or not _same(figure, again[metric]):
            wrong.append(f"{name}: {metric} is {figure} in {RESULT}, but {again.get(metric)} by the stored predictions")
    return wrong


def _same(one: float, two: float) -> bool:
    # Sums may differ in their last bit on another machine.
    return abs(one - two) <= 1e-9
