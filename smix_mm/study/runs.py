"""What a run of a study does: commands in its folder, and the result that they leave."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Iterator, Mapping

from ..transfer.backbone import publish_backbone
from ..transfer.checkpoint import read_checkpoint
from ..transfer.proof import PROOF
from ..utils.errors import CheckpointError, StepError
from ..utils.files import content_hash, file_hash, write_json
from .config import RunConfig, Study
from .fork_server import ForkServer
from .plan import FAILURE, LOCK, RESULT, Run
from .sources import fetch_checkpoint
from .steps import Step, Tell, follow_process, run_command, run_step

BACKBONE = "backbone.pth"
DETECTIONS = "detections.npz"
PROVENANCE = "provenance.json"
CURVE = "curve.json"
_PACKAGES = ("torch", "torchvision", "numpy", "onedl-mmengine", "onedl-mmcv", "onedl-mmpretrain", "onedl-mmdetection",
             "mmengine", "mmcv", "mmpretrain", "mmdet")  # fmt: skip


@dataclass(frozen=True)
class Worker:
    """Where and how runs are done.

    Attributes:
        study: what is compared.
        folder: of the study.
        environment: variables of the commands.
        common: what every result depends on, by name.
        processes: how many train one run together; 1 starts no launcher.
        server: starts the programs; None where each imports everything itself.
    """

    study: Study
    folder: Path
    environment: Mapping[str, str]
    common: Mapping[str, Any]
    processes: int = 1
    server: ForkServer | None = None

    def execute(self, run: Run, say: Tell, watch: Tell) -> bool:
        """Do a run unless it is finished; whether there was anything to do.

        Raises:
            StepError: it failed, or another process does it; what its log ended with stays in ``failure.json``.
        """
        place = self.folder / run.name
        with _lock(place):
            (place / FAILURE).unlink(missing_ok=True)
            try:
                return run_step(self._step(run, say, watch), say)
            except (StepError, CheckpointError, OSError) as error:
                with suppress(OSError):  # on a full disk the screen alone can tell
                    write_json(place / FAILURE, dict(lines=str(error).splitlines()))
                raise error if isinstance(error, StepError) else StepError(f"{run.name}: {error}") from error

    def _step(self, run: Run, say: Tell, watch: Tell) -> Step:
        inputs: dict[str, Any]
        if run.detector is None:
            config = self.study.arms[run.arm].pretraining
            if config is None:
                source = fetch_checkpoint(self.study.arms[run.arm].checkpoint or "", self.folder / "checkpoints")
                inputs = {"the checkpoint": file_hash(source)}
                return self._outer(run, inputs, (BACKBONE, RESULT), lambda step: self._publish(run, step, source))
            inputs = {"the pretraining's config": config.text, "the seed": run.pretraining_seed}
            outputs = (BACKBONE, RESULT)
            return self._outer(run, inputs, outputs, lambda step: self._pretrain(run, step, config, say, watch))
        assert run.needs is not None
        backbone = self.folder / run.needs / BACKBONE
        if not backbone.is_file():
            raise StepError(f"{run.name} has no backbone to start from, because {run.needs} is not finished")
        config = self.study.detectors[run.detector]
        digest = read_checkpoint(backbone)["meta"]["hash"]
        inputs = {
            "the detector's config": config.text,
            "the backbone": digest,
            "the seed": run.finetuning_seed,
        }
        outputs = (RESULT, DETECTIONS)
        return self._outer(run, inputs, outputs, lambda step: self._detect(run, step, config, backbone, say, watch))

    def _outer(self, run: Run, inputs: Mapping[str, Any], outputs: tuple[str, ...], work: Any) -> Step:
        return Step(run.name, self.folder / run.name, {**self.common, **inputs}, outputs, work)

    def _publish(self, run: Run, step: Step, source: Path) -> None:
        publish_backbone(source, step.output())
        write_json(step.output(1), dict(arm=run.arm, pretraining_seed=None, metrics={}))

    def _pretrain(self, run: Run, step: Step, config: RunConfig, say: Tell, watch: Tell) -> None:
        started = time.time()
        assert run.pretraining_seed is not None

        def train(inner: Step) -> None:
            self._train(inner, config, watch, f"randomness.seed={run.pretraining_seed}")
            write_json(inner.output(1), last_metrics(inner.folder))

        trained = Step(
            f"{run.name} training", step.folder / "train", step.inputs, ("checkpoint.pth", "metrics.json"), train
        )
        run_step(trained, say)
        publish_backbone(trained.output(), step.output())
        write_json(step.folder / CURVE, learning_curve(trained.folder))
        self._provenance(step, config, started)
        metrics = json.loads(trained.output(1).read_text(encoding="utf-8"))
        write_json(step.output(1), dict(arm=run.arm, pretraining_seed=run.pretraining_seed, metrics=metrics))

    def _detect(self, run: Run, step: Step, config: RunConfig, backbone: Path, say: Tell, watch: Tell) -> None:
        started = time.time()
        seed, start = f"randomness.seed={run.finetuning_seed}", f"model.backbone.init_cfg.checkpoint={backbone}"
        shared = _shared_head_start(config, backbone)

        def finetune(inner: Step) -> None:
            self._train(inner, config, watch, seed, start, *shared)

        def test(inner: Step) -> None:
            evaluator = ["test_evaluator._delete_=True", "test_evaluator.type=DetectionMetric",
                         f"test_evaluator.out={inner.output(1)}"]  # fmt: skip
            arguments = [
                "--work-dir",
                inner.folder,
                "--metrics",
                inner.output(),
                "--cfg-options",
                *config.arguments(),
                *evaluator,
            ]
            self._run(inner, "test", watch, config.path, tuned.output(), *arguments)

        tuned = Step(f"{run.name} training", step.folder / "train", step.inputs, ("checkpoint.pth", PROOF), finetune)
        run_step(tuned, say)
        tested = Step(f"{run.name} test", step.folder / "test", step.inputs, ("metrics.json", DETECTIONS), test)
        run_step(tested, say)
        _second_name(tested.output(1), step.output(1))
        write_json(step.folder / CURVE, learning_curve(tuned.folder))
        self._provenance(step, config, started)
        proof = json.loads(tuned.output(1).read_text(encoding="utf-8"))
        result = dict(
            arm=run.arm,
            detector=run.detector,
            pretraining_seed=run.pretraining_seed,
            finetuning_seed=run.finetuning_seed,
            backbone_hash=proof["backbone_hash"],
            load_proof=proof,
            metrics=json.loads(tested.output().read_text(encoding="utf-8")),
            detections=file_hash(step.output(1)),
        )
        write_json(step.output(), result)

    def _run(self, step: Step, program: str, watch: Tell, *arguments: Any) -> None:
        module, words = f"smix_mm.cli.{program}", [*map(str, arguments)]
        command = [sys.executable, "-m", module, *words]
        if self.server is not None:
            follow_process(step, self.server.start(module, words), command, watch)
            return
        if self.processes > 1:
            launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={self.processes}"]
            command[1:1] = launch
            command += ["--launcher", "pytorch"]
        run_command(step, command, self.environment, watch)

    def _train(self, step: Step, config: RunConfig, watch: Tell, *options: str) -> None:
        arguments = ["--work-dir", step.folder, "--resume", "--cfg-options", *config.arguments(), *options]
        self._run(step, "train", watch, config.path, *arguments)
        last = Path((step.folder / "last_checkpoint").read_text(encoding="utf-8").strip())
        # A second name, the same for every config; the training keeps its own for a later resume.
        _second_name(last, step.output())

    def _provenance(self, step: Step, config: RunConfig, started: float) -> None:
        content = dict(
            config=config.text,
            **(dict(cfg_options=dict(config.cfg_options)) if config.cfg_options else {}),
            inputs={name: content_hash(value) for name, value in step.inputs.items()},
            processes=self.processes,
            started=_utc(started),
            ended=_utc(time.time()),
            **describe_software(),
        )
        write_json(step.folder / PROVENANCE, content)


def _shared_head_start(config: RunConfig, backbone: Path) -> list[str]:
    """A C4 detector loads its last stage from the same file."""
    head = (config.read().model.get("roi_head") or {}).get("shared_head")
    return [f"model.roi_head.shared_head.init_cfg.checkpoint={backbone}"] if head and head.get("init_cfg") else []


@contextmanager
def _lock(place: Path) -> Iterator[None]:
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.parent / f"{place.name}{LOCK}", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StepError(f"another process does {place}; wait for it or stop it") from error
        yield


def _second_name(path: Path, name: Path) -> None:
    name.unlink(missing_ok=True)
    os.link(path, name)


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def describe_software() -> dict[str, Any]:
    """Git commit of this package where it is a checkout, releases, and the machine."""
    root = Path(__file__).resolve().parents[2]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True).stdout.strip()
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(commit=commit or None, packages=packages, python=platform.python_version(), machine=platform.platform())


def last_metrics(folder: Path) -> dict[str, float]:
    """The newest evaluation in the logs of a training's folder, such as ``accuracy/top1``."""
    newest: tuple[int, dict[str, float]] = (-1, {})
    for entry in _log_entries(folder):
        figures = {name: value for name, value in entry.items() if "/" in name}
        if figures and entry["step"] >= newest[0]:
            newest = (entry["step"], figures)
    return newest[1]


def learning_curve(folder: Path) -> list[dict[str, float]]:
    """``step`` and ``loss`` of a training's log, each step once, as the last run through it had it."""
    losses = {entry["step"]: entry["loss"] for entry in _log_entries(folder) if "loss" in entry}
    return [dict(step=step, loss=losses[step]) for step in sorted(losses)]


def _log_entries(folder: Path) -> Iterator[dict[str, Any]]:
    for log in sorted(folder.glob("*/vis_data/scalars.json")):
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line at which a run was killed
            if isinstance(entry, dict) and "step" in entry:
                yield entry


def package_hash() -> str:
    """Hash of this package's own code: runs done by other code are done again."""
    root = Path(__file__).resolve().parents[1]
    files = sorted(path for path in root.rglob("*.py"))
    return content_hash({str(path.relative_to(root)): file_hash(path) for path in files})
