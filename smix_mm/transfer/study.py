"""A study: several pretrainings, one detector, and a table of what it made of each."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from mmengine.config import Config

from ..fileio import content_hash, file_hash, write_json
from .backbone import publish_backbone
from .checkpoint import read_checkpoint
from .proof import PROOF
from .report import write_report
from .steps import Step, StepError, run_command, run_step

RESULT = "result.json"


class StudyError(ValueError):
    """The study's config is not as wanted; the message says how to mend it."""


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        name: the title of the report.
        arms: config of the pretraining, by the arm's name; the first is the one compared with.
        detector: config of the detector, which has a LoadProofHook.
        seed: of every run.
        metric: the figure of the detector's test that is compared.
        prepare: None, or ``dict(call='package.module:function', variable=NAME)``: a function
            that writes the data into the folder it is given, once; the configs find that folder
            in the environment variable.
    """

    name: str
    arms: Mapping[str, Path]
    detector: Path
    seed: int
    metric: str
    prepare: Mapping[str, str] | None


def load_study(config: str | Path) -> Study:
    """Read a study's config; paths in it are relative to its folder.

    Raises:
        StudyError: the file, or something in it, is missing.
    """
    path = Path(config)
    if not path.is_file():
        raise StudyError(f"study {config} is not there; wanted a config such as configs/demo/study.py")
    content = read_config(path)
    for wanted in ("arms", "detector"):
        if not content.get(wanted):
            raise StudyError(f"study {config} has no {wanted}; wanted arms=dict(NAME=CONFIG, ...) and detector=CONFIG")
    study = Study(
        name=content.get("name", path.stem),
        arms={name: path.parent / arm for name, arm in content.arms.items()},
        detector=path.parent / content.detector,
        seed=content.get("seed", 0),
        metric=content.get("metric", "pascal_voc/mAP"),
        prepare=content.get("prepare"),
    )
    for needed in (*study.arms.values(), study.detector):
        if not needed.is_file():
            raise StudyError(f"study {config} names {needed}, which is not there; wanted a path beside the study")
    hooks = [hook.get("type") for hook in read_config(study.detector).get("custom_hooks", ())]
    if "LoadProofHook" not in hooks:
        raise StudyError(
            f"{study.detector} has no LoadProofHook, so nothing would show that a backbone was loaded; "
            "wanted custom_hooks=[dict(type='LoadProofHook')] in it"
        )
    return study


def run_study(config: str | Path, work_dir: str | Path) -> dict[str, dict[str, Any]]:
    """Run all that is not finished yet, and write the report.

    Args:
        config: the study's config.
        work_dir: everything is written here; started again, finished steps are left alone.

    Returns:
        the results by arm, without the arms that failed.

    Raises:
        StudyError: the config is not as wanted, or another process works in ``work_dir``.
        StepError: arms failed; raised after the others are finished and reported.
    """
    study = load_study(config)
    folder = Path(work_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StudyError(f"another process runs a study in {work_dir}; wait for it or stop it") from error
        environment, data = _prepare(study, folder)
        results, failures = {}, {}
        for number, arm in enumerate(study.arms, 1):
            try:
                results[arm] = _run_arm(study, arm, number, folder, environment, data)
            except StepError as error:
                failures[arm] = error
                _say(f"{error}\n{arm} failed; going on with the other arms")
        if results:
            write_report(study.name, results, study.metric, folder)
    if failures:
        raise StepError(f"failed: {', '.join(failures)}; mend what their logs in {work_dir} say and start again")
    return results


def _say(text: str) -> None:
    print(text, flush=True)


def _prepare(study: Study, folder: Path) -> tuple[dict[str, str], str]:
    """Make the data of a study that brings its own: the environment of its runs, and the data's hash."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if study.prepare is None:
        return environment, ""
    data = folder / "data"
    _say("data: made, or found as it was made")
    pkgutil.resolve_name(study.prepare["call"])(data)
    environment[study.prepare["variable"]] = str(data)
    # So that the configs read here see what those of the runs will.
    os.environ[study.prepare["variable"]] = str(data)
    return environment, file_hash(data / "manifest.json")


def _run_arm(
    study: Study, arm: str, number: int, folder: Path, environment: Mapping[str, str], data: str
) -> dict[str, Any]:
    """Pretrain, publish, fine-tune and test one arm."""
    title = f"[{number}/{len(study.arms)}] {arm}"
    common = {"the package": package_hash(), "the data": data, "the seed": study.seed}
    seed = ["--cfg-options", f"randomness.seed={study.seed}"]

    def program(name: str, *arguments: Any) -> list[str]:
        return [sys.executable, "-m", f"smix_mm.engine.{name}", *map(str, arguments)]

    def run_training(step: Step, config: Path, *options: str) -> None:
        command = program("train", config, "--work-dir", step.folder, "--resume", *seed, *options)
        run_command(step, command, environment, _say)
        # A name of its own, since the last checkpoint's depends on the config.
        last = Path((step.folder / "last_checkpoint").read_text(encoding="utf-8").strip())
        step.output().unlink(missing_ok=True)
        os.link(last, step.output())

    def pretrain(step: Step) -> None:
        run_training(step, study.arms[arm])
        write_json(step.output(1), last_metrics(step.folder))

    home = folder / arm
    pretrained = Step(
        f"{title}: pretraining",
        home / "pretrain",
        {**common, "the pretraining's config": read_config(study.arms[arm]).pretty_text},
        ("checkpoint.pth", "metrics.json"),
        pretrain,
    )
    run_step(pretrained, _say)

    def publish(step: Step) -> None:
        publish_backbone(pretrained.output(), step.output())

    published = Step(
        f"{title}: publishing",
        home / "backbone",
        {**common, "the checkpoint": file_hash(pretrained.output())},
        ("backbone.pth",),
        publish,
    )
    run_step(published, _say)
    backbone = published.output()
    detection = {
        **common,
        "the detector's config": read_config(study.detector).pretty_text,
        "the backbone": file_hash(backbone),
    }
    finetuned = Step(
        f"{title}: fine-tuning",
        home / "finetune",
        detection,
        ("checkpoint.pth", PROOF),
        lambda step: run_training(step, study.detector, f"model.backbone.init_cfg.checkpoint={backbone}"),
    )
    run_step(finetuned, _say)

    def run_test(step: Step) -> None:
        command = program(
            "test", study.detector, finetuned.output(), "--work-dir", step.folder, "--metrics", step.output()
        )
        run_command(step, command, environment, _say)

    tested = Step(
        f"{title}: testing",
        home / "test",
        {**detection, "the detector": file_hash(finetuned.output())},
        ("metrics.json",),
        run_test,
    )
    run_step(tested, _say)
    result = dict(
        arm=arm,
        seed=study.seed,
        backbone_hash=read_checkpoint(backbone)["meta"]["hash"],
        load_proof=json.loads(finetuned.output(1).read_text(encoding="utf-8")),
        pretraining=json.loads(pretrained.output(1).read_text(encoding="utf-8")),
        detection=json.loads(tested.output().read_text(encoding="utf-8")),
    )
    write_json(home / RESULT, result)
    return result


def read_config(path: Path) -> Config:
    """Read a config without mmengine's remarks about it."""
    logging.disable(logging.INFO)
    try:
        return Config.fromfile(path)
    finally:
        logging.disable(logging.NOTSET)


def last_metrics(folder: Path) -> dict[str, float]:
    """The newest evaluation in the logs of a training's folder, such as ``accuracy/top1``."""
    newest: tuple[int, dict[str, float]] = (-1, {})
    for log in sorted(folder.glob("*/vis_data/scalars.json")):
        for line in log.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            figures = {name: value for name, value in entry.items() if "/" in name}
            if figures and entry["step"] >= newest[0]:
                newest = (entry["step"], figures)
    return newest[1]


def package_hash() -> str:
    """Hash of this package's own code: steps done by other code are done again."""
    root = Path(__file__).resolve().parents[1]
    files = sorted(path for path in root.rglob("*.py"))
    return content_hash({str(path.relative_to(root)): file_hash(path) for path in files})
