"""A study: several pretrainings, one detector, and a table of what it made of each."""

from __future__ import annotations

import fcntl
import json
import os
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping

from ..config import read_config
from ..fileio import content_hash, file_hash, write_json
from ..visualization import draw_mix_sheet, training_pictures
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
        detectors: configs of detectors, by name; each has a LoadProofHook.
        seed: of every run.
        metric: the figure of the detector's test that is compared.
        sheet: None, or the arm from whose training pictures the page of mixed pictures is drawn.
        prepare: None, or ``dict(call='package.module:function', variable=NAME)``: a function
            that writes the data into the folder it is given, once; the configs find that folder
            in the environment variable.
    """

    name: str
    arms: Mapping[str, Path]
    detectors: Mapping[str, Path]
    seed: int
    metric: str
    sheet: str | None
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
    for wanted in ("arms", "detectors"):
        if not isinstance(content.get(wanted), dict) or not content[wanted]:
            raise StudyError(
                f"study {config} has {wanted}={content.get(wanted)!r}; wanted {wanted}=dict(NAME=CONFIG, ...)"
            )
    study = Study(
        name=content.get("name", path.stem),
        arms={name: path.parent / arm for name, arm in content.arms.items()},
        detectors={name: path.parent / detector for name, detector in content.detectors.items()},
        seed=content.get("seed", 0),
        metric=content.get("metric", "pascal_voc/mAP"),
        sheet=content.get("sheet"),
        prepare=content.get("prepare"),
    )
    if study.sheet is not None and study.sheet not in study.arms:
        raise StudyError(f"study {config} has sheet={study.sheet!r}; wanted one of its arms, {', '.join(study.arms)}")
    for needed in (*study.arms.values(), *study.detectors.values()):
        if not needed.is_file():
            raise StudyError(f"study {config} names {needed}, which is not there; wanted a path beside the study")
    for detector in study.detectors.values():
        hooks = [hook.get("type") for hook in read_config(detector).get("custom_hooks", ())]
        if "LoadProofHook" not in hooks:
            raise StudyError(
                f"{detector} has no LoadProofHook, so nothing would show that a backbone was loaded; "
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
        if study.sheet is not None:
            pictures, labels = training_pictures(study.arms[study.sheet])
            draw_mix_sheet(pictures, labels, folder / "mixed.png", seed=study.seed)
            _say(f"page of mixed pictures: {Path(work_dir) / 'mixed.png'}")
        results, failures = {}, {}
        common = {"the package": package_hash(), "the data": data, "the seed": study.seed}
        for arm in study.arms:
            try:
                results[arm] = _Arm(study, arm, folder / arm, environment, common).run()
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


@dataclass(frozen=True)
class _Arm:
    """One arm's steps, each a function of the files that the one before left."""

    study: Study
    name: str
    folder: Path
    environment: Mapping[str, str]
    common: Mapping[str, Any]

    def run(self) -> dict[str, Any]:
        """Pretrain and publish, then fine-tune and test every detector."""
        checkpoint, accuracy = self.pretrain()
        backbone = self.publish(checkpoint)
        proofs, detection = {}, {}
        for detector in self.study.detectors:
            proofs[detector], detection[detector] = self.detect(detector, backbone)
        result = dict(
            arm=self.name,
            seed=self.study.seed,
            backbone_hash=read_checkpoint(backbone)["meta"]["hash"],
            load_proof=proofs,
            pretraining=accuracy,
            detection=detection,
        )
        write_json(self.folder / RESULT, result)
        return result

    def pretrain(self) -> tuple[Path, dict[str, float]]:
        config = self.study.arms[self.name]

        def work(step: Step) -> None:
            self._train(step, config)
            write_json(step.output(1), last_metrics(step.folder))

        inputs = {"the pretraining's config": read_config(config).pretty_text}
        step = self._step("pretraining", "pretrain", inputs, ("checkpoint.pth", "metrics.json"), work)
        return step.output(), _read_json(step.output(1))

    def publish(self, checkpoint: Path) -> Path:
        def work(step: Step) -> None:
            publish_backbone(checkpoint, step.output())

        inputs = {"the checkpoint": file_hash(checkpoint)}
        return self._step("publishing", "backbone", inputs, ("backbone.pth",), work).output()

    def detect(self, detector: str, backbone: Path) -> tuple[dict[str, str], dict[str, float]]:
        config = self.study.detectors[detector]
        inputs = {"the detector's config": read_config(config).pretty_text, "the backbone": file_hash(backbone)}

        def finetune(step: Step) -> None:
            self._train(step, config, f"model.backbone.init_cfg.checkpoint={backbone}")

        outputs = ("checkpoint.pth", PROOF)
        tuned = self._step(f"fine-tuning {detector}", f"{detector}/finetune", inputs, outputs, finetune)

        def test(step: Step) -> None:
            weights = tuned.output()
            self._run(step, "test", config, weights, "--work-dir", step.folder, "--metrics", step.output())

        inputs = {**inputs, "the detector's weights": file_hash(tuned.output())}
        tested = self._step(f"testing {detector}", f"{detector}/test", inputs, ("metrics.json",), test)
        return _read_json(tuned.output(1)), _read_json(tested.output())

    def _step(
        self, does: str, folder: str, inputs: Mapping[str, Any], outputs: tuple[str, ...], work: Callable[[Step], None]
    ) -> Step:
        """Describe a step of this arm and do it unless it is done."""
        number = list(self.study.arms).index(self.name) + 1
        title = f"[{number}/{len(self.study.arms)}] {self.name}: {does}"
        step = Step(title, self.folder / folder, {**self.common, **inputs}, outputs, work)
        run_step(step, _say)
        return step

    def _run(self, step: Step, program: str, *arguments: Any) -> None:
        command = [sys.executable, "-m", f"smix_mm.engine.{program}", *map(str, arguments)]
        run_command(step, command, self.environment)

    def _train(self, step: Step, config: Path, *options: str) -> None:
        options = (f"randomness.seed={self.study.seed}", *options)
        self._run(step, "train", config, "--work-dir", step.folder, "--resume", "--cfg-options", *options)
        last = Path((step.folder / "last_checkpoint").read_text(encoding="utf-8").strip())
        # A second name, the same for every config; the training keeps its own for a later resume.
        step.output().unlink(missing_ok=True)
        os.link(last, step.output())


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


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
