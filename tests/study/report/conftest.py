"""Made-up studies, written as the study runner writes them."""

import json
from pathlib import Path

import numpy as np
import pytest

from smix_mm.evaluation import Detections, evaluate
from smix_mm.utils.files import file_hash

CLASSES = ["bicycle", "cat", "person", "train"]


def made_detections(noise: float, seed: int, images: int = 24) -> Detections:
    """Predictions for objects that are the same every time, the worse the more noise."""
    there, rng = np.random.default_rng(0), np.random.default_rng(seed)
    samples = []
    for image in range(images):
        count = int(there.integers(1, 5))
        boxes = there.uniform(0, 200, (count, 4))
        boxes[:, 2:] = boxes[:, :2] + there.uniform(40, 150, (count, 2))
        # The last class has no object.
        labels = there.integers(0, len(CLASSES) - 1, count)
        found = boxes + rng.normal(0, noise, boxes.shape)
        samples.append(
            dict(
                image=f"{image:06d}",
                boxes=found,
                scores=rng.random(count),
                labels=np.where(rng.random(count) < 0.1, 3, labels),
                true_boxes=boxes,
                true_labels=labels,
                difficult=there.random(count) < 0.1,
            )
        )
    return Detections.stack(CLASSES, samples)


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_run(
    folder: Path, arm: str, pretraining: int | None, detector: str, seed: int, noise: float, images: int = 24
) -> str:
    """A fine-tuning with its predictions and curve; its name."""
    source = "given" if pretraining is None else f"seed{pretraining}"
    name = f"{arm}/{source}/{detector}/seed{seed}"
    drawn = [ord(letter) for letter in arm] + [0 if pretraining is None else pretraining + 1, seed, len(detector)]
    detections = made_detections(noise, int(np.random.default_rng(drawn).integers(1 << 30)), images)
    (folder / name).mkdir(parents=True, exist_ok=True)
    detections.write(folder / name / "detections.npz")
    result = dict(
        arm=arm,
        detector=detector,
        pretraining_seed=pretraining,
        finetuning_seed=seed,
        backbone_hash=f"{arm}-{pretraining}",
        load_proof={"loaded": "whole"},
        metrics=evaluate(detections),
        detections=file_hash(folder / name / "detections.npz"),
    )
    write(folder / name / "result.json", result)
    steps = np.arange(10, 510, 10)
    losses = 1 / (1 + steps / 100) + np.random.default_rng(drawn).normal(0.002 * noise, 0.05, len(steps))
    write(folder / name / "curve.json", [dict(step=int(s), loss=float(x)) for s, x in zip(steps, losses)])
    return name


def write_study(
    folder: Path,
    arms: dict[str, float],
    detectors: tuple[str, ...] = ("bccd", "voc"),
    pretraining_seeds: tuple[int, ...] = (0, 1, 2),
    finetuning_seeds: tuple[int, ...] = (0, 1),
    given: tuple[str, ...] = (),
    metric: str = "voc/mAP_11point",
    **more: object,
) -> Path:
    """A whole study; ``arms`` with the noise of their boxes, ``given`` those that are a checkpoint."""
    runs = []
    for arm, noise in arms.items():
        for outer in (None,) if arm in given else pretraining_seeds:
            source = f"{arm}/given" if outer is None else f"{arm}/seed{outer}"
            metrics = {} if outer is None else {"accuracy/top1": 80 + len(arm) / 10 + outer}
            write(folder / f"{source}/pretraining/result.json", dict(arm=arm, pretraining_seed=outer, metrics=metrics))
            runs.append(f"{source}/pretraining")
            for detector in detectors:
                runs += [write_run(folder, arm, outer, detector, seed, noise) for seed in finetuning_seeds]
    content = dict(
        name="A made-up study",
        arms=list(arms),
        detectors=list(detectors),
        pretraining_seeds=list(pretraining_seeds),
        finetuning_seeds=list(finetuning_seeds),
        metric=metric,
        runs=runs,
    )
    write(folder / "study.json", {**content, **more})
    return folder


@pytest.fixture(name="write_study", scope="session")
def _write_study():
    return write_study


@pytest.fixture(name="write_run", scope="session")
def _write_run():
    return write_run


@pytest.fixture(scope="session")
def whole_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms, two detectors, three pretrainings with two fine-tunings each; not to be changed."""
    arms = dict(baseline=22.0, cutmix=20.0, saliencymix=12.0)
    return write_study(tmp_path_factory.mktemp("study"), arms, paper=dict(baseline=0.7671, saliencymix=0.7848))
