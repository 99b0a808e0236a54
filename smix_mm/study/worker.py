"""Executing a run of a study: its commands, and the result that they leave."""

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
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

from ..transfer.backbone import publish_backbone
from ..transfer.checkpoint import read_checkpoint
from ..transfer.proof import PROOF
from ..utils.errors import CheckpointError, StepError
from ..utils.files import content_hash, file_hash, write_json
from .config import RunConfig, Study
from .fork_server import ForkServer
from .plan import lock_path
from .run import BACKBONE, CURVE, DETECTIONS, FAILURE, PROVENANCE, RESULT, Run
from .sources import documented_training, fetch_checkpoint
from .steps import LineCallback, Step, follow_process, run_command, run_step

_PACKAGES = ("torch", "torchvision", "numpy", "onedl-mmengine", "onedl-mmcv", "onedl-mmpretrain", "onedl-mmdetection",
             "mmengine", "mmcv", "mmpretrain", "mmdet")  # fmt: skip


@dataclass(frozen=True)
class Worker:
    """Executes runs of a study, one at a time.

    Attributes:
        study: the study.
        folder: of the study.
        environment: variables of the commands.
        common: inputs of every run, by name.
        processes: number of processes that train one run together; 1 needs no launcher.
        server: forks the programs; None starts each with its own imports.
    """

    study: Study
    folder: Path
    environment: Mapping[str, str]
    common: Mapping[str, Any]
    processes: int = 1
    server: ForkServer | None = None

    def execute(self, run: Run, log: LineCallback, on_line: LineCallback) -> bool:
        """Execute a run unless it is finished.

        Args:
            run: the run.
            log: called with each message.
            on_line: called with each line of its programs' output.

        Returns:
            whether it was executed.

        Raises:
            StepError: it failed, or another process executes it. ``failure.json`` in its folder holds the message.
        """
        with self._lock(run):
            failure = self.folder / run.name / FAILURE
            failure.unlink(missing_ok=True)
            try:
                return run_step(self._step(run, log, on_line), log)
            except (StepError, CheckpointError, OSError) as error:
                with suppress(OSError):  # a full disk
                    write_json(failure, dict(lines=str(error).splitlines()))
                raise error if isinstance(error, StepError) else StepError(f"{run.name}: {error}") from error

    @contextmanager
    def _lock(self, run: Run) -> Iterator[None]:
        path = lock_path(run, self.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StepError(f"another process executes {run.name}; wait until it ends, or stop it.") from error
            yield

    def _step(self, run: Run, log: LineCallback, on_line: LineCallback) -> Step:
        inputs: dict[str, Any]
        work: Callable[[Step], None]
        if run.detector is None:
            outputs = (BACKBONE, RESULT)
            config = self.study.arms[run.arm].pretraining
            if config is None:
                source = fetch_checkpoint(self.study.arms[run.arm].checkpoint or "", self.folder / "checkpoints")
                inputs = {"the checkpoint": file_hash(source)}
                work = partial(self._publish, run, source=source)
            else:
                inputs = {"the pretraining's config": config.text, "the seed": run.pretraining_seed}
                work = partial(self._pretrain, run, config=config, log=log, on_line=on_line)
        else:
            outputs = (RESULT, DETECTIONS)
            config = self.study.detectors[run.detector]
            backbone = self.folder / str(run.needs) / BACKBONE
            if not backbone.is_file():
                raise StepError(f"{run.name} has no backbone to start from, because {run.needs} is not finished.")
            digest = read_checkpoint(backbone)["meta"]["hash"]
            inputs = {"the detector's config": config.text, "the backbone": digest, "the seed": run.finetuning_seed}
            work = partial(self._finetune, run, config=config, backbone=backbone, log=log, on_line=on_line)
        return Step(run.name, self.folder / run.name, {**self.common, **inputs}, outputs, work)

    def _publish(self, run: Run, step: Step, source: Path) -> None:
        documented = documented_training(self.study.arms[run.arm].checkpoint or "")
        publish_backbone(source, step.output(), **documented)
        write_json(step.output(1), dict(arm=run.arm, pretraining_seed=None, metrics={}))

    def _pretrain(self, run: Run, step: Step, config: RunConfig, log: LineCallback, on_line: LineCallback) -> None:
        started = time.time()

        def train(inner: Step) -> None:
            self._train(inner, config, on_line, f"randomness.seed={run.pretraining_seed}")
            write_json(inner.output(1), last_metrics(inner.folder))

        outputs = ("checkpoint.pth", "metrics.json")
        training = Step(f"{run.name} training", step.folder / "train", step.inputs, outputs, train)
        run_step(training, log)
        publish_backbone(training.output(), step.output())
        write_json(step.folder / CURVE, learning_curve(training.folder))
        self._write_provenance(step, config, started)
        metrics = json.loads(training.output(1).read_text(encoding="utf-8"))
        write_json(step.output(1), dict(arm=run.arm, pretraining_seed=run.pretraining_seed, metrics=metrics))

    def _finetune(
        self, run: Run, step: Step, config: RunConfig, backbone: Path, log: LineCallback, on_line: LineCallback
    ) -> None:
        started = time.time()
        options = [f"randomness.seed={run.finetuning_seed}", f"model.backbone.init_cfg.checkpoint={backbone}"]
        # A C4 detector loads its last stage from the same file.
        shared_head = (config.read().model.get("roi_head") or {}).get("shared_head")
        if shared_head and shared_head.get("init_cfg"):
            options.append(f"model.roi_head.shared_head.init_cfg.checkpoint={backbone}")

        def test(inner: Step) -> None:
            evaluator = ["test_evaluator._delete_=True", "test_evaluator.type=DetectionMetric",
                         f"test_evaluator.out={inner.output(1)}"]  # fmt: skip
            self._run(inner, "test", on_line, config.path, training.output(), "--work-dir", inner.folder,
                      "--metrics", inner.output(), "--cfg-options", *config.arguments(), *evaluator)  # fmt: skip

        training = Step(
            name=f"{run.name} training",
            folder=step.folder / "train",
            inputs=step.inputs,
            outputs=("checkpoint.pth", PROOF),
            work=lambda inner: self._train(inner, config, on_line, *options),
        )
        run_step(training, log)
        testing = Step(f"{run.name} test", step.folder / "test", step.inputs, ("metrics.json", DETECTIONS), test)
        run_step(testing, log)
        _link(testing.output(1), step.output(1))
        write_json(step.folder / CURVE, learning_curve(training.folder))
        self._write_provenance(step, config, started)
        proof = json.loads(training.output(1).read_text(encoding="utf-8"))
        result = dict(
            arm=run.arm,
            detector=run.detector,
            pretraining_seed=run.pretraining_seed,
            finetuning_seed=run.finetuning_seed,
            backbone_hash=proof["backbone_hash"],
            load_proof=proof,
            metrics=json.loads(testing.output().read_text(encoding="utf-8")),
            detections=file_hash(step.output(1)),
        )
        write_json(step.output(), result)

    def _train(self, step: Step, config: RunConfig, on_line: LineCallback, *options: str) -> None:
        self._run(step, "train", on_line, config.path, "--work-dir", step.folder, "--resume",
                  "--cfg-options", *config.arguments(), *options)  # fmt: skip
        last = Path((step.folder / "last_checkpoint").read_text(encoding="utf-8").strip())
        # The same name for every config; the training needs its own name to resume.
        _link(last, step.output())

    def _run(self, step: Step, program: str, on_line: LineCallback, *arguments: Any) -> None:
        """Run ``smix_mm.cli.train`` or ``smix_mm.cli.test``."""
        module, words = f"smix_mm.cli.{program}", [*map(str, arguments)]
        command = [sys.executable, "-m", module, *words]
        if self.server is not None:
            follow_process(step, self.server.start(module, words), command, on_line)
            return
        if self.processes > 1:
            launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={self.processes}"]
            command[1:1] = launch
            command += ["--launcher", "pytorch"]
        run_command(step, command, self.environment, on_line)

    def _write_provenance(self, step: Step, config: RunConfig, started: float) -> None:
        content = dict(
            config=config.text,
            inputs={name: content_hash(value) for name, value in step.inputs.items()},
            processes=self.processes,
            started=_utc(started),
            ended=_utc(time.time()),
            **describe_software(),
        )
        if config.cfg_options:
            content["cfg_options"] = dict(config.cfg_options)
        write_json(step.folder / PROVENANCE, content)


def _link(path: Path, link: Path) -> None:
    """Make ``link`` a hard link to ``path``."""
    link.unlink(missing_ok=True)
    os.link(path, link)


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def describe_software() -> dict[str, Any]:
    """Git commit of this package (None without a repository), versions of packages, Python and the machine."""
    root = Path(__file__).resolve().parents[2]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True).stdout.strip()
    packages = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
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
    """``step`` and ``loss`` in the logs of a training's folder; of a step that was repeated, the last loss."""
    losses = {entry["step"]: entry["loss"] for entry in _log_entries(folder) if "loss" in entry}
    return [dict(step=step, loss=losses[step]) for step in sorted(losses)]


def _log_entries(folder: Path) -> Iterator[dict[str, Any]]:
    for log in sorted(folder.glob("*/vis_data/scalars.json")):
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line that was being written when a run was killed
            if isinstance(entry, dict) and "step" in entry:
                yield entry


def package_hash() -> str:
    """Hash of this package's code."""
    root = Path(__file__).resolve().parents[1]
    files = sorted(root.rglob("*.py"))
    return content_hash({str(path.relative_to(root)): file_hash(path) for path in files})
