"""Executing a run of a study: its commands, and the result that they leave."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Mapping

from ..transfer.backbone import publish_backbone
from ..transfer.checkpoint import read_checkpoint
from ..transfer.proof import PROOF
from ..utils.errors import CheckpointError, StepError
from ..utils.files import content_hash, file_hash, log_entries, write_json, write_text
from ..utils.imported_code import VARIABLE, record_imports
from . import run as record
from .config import RunConfig, Study
from .lock import hold
from .programs import run_program
from .run import BACKBONE, CODE, CURVE, DETECTIONS, FAILURE, LOG, PROVENANCE, RESULT, LineCallback, Run, read_json
from .sources import documented_training, fetch_checkpoint

_PACKAGES = ("torch", "torchvision", "numpy", "onedl-mmengine", "onedl-mmcv", "onedl-mmpretrain", "onedl-mmdetection",
             "mmengine", "mmcv", "mmpretrain", "mmdet")  # fmt: skip


@dataclass(frozen=True)
class Worker:
    """Executes runs of a study, one at a time."""

    study: Study
    folder: Path  # of the study
    environment: Mapping[str, str] = field(default_factory=dict)  # of the programs, beyond that of this process
    common: Mapping[str, Any] = field(default_factory=dict)  # inputs of every run, by name
    processes: int = 1  # that train one run together on each node; 1 needs no launcher
    nodes: int = 1  # of the Slurm job inside which it works
    fork: bool = False  # fork the programs from a process that has imported OpenMMLab

    def execute(self, run: Run, log: LineCallback, on_line: LineCallback, wait: bool = False) -> None:
        """Execute a run unless it is finished.

        Args:
            run: the run.
            log: called with each message.
            on_line: called with each line of its programs' output.
            wait: if another process executes it, wait until that ends. Defaults to False, for an error.

        Raises:
            StepError: it failed, or another process executes it. The message is in ``failure.json`` and ``run.log``.
        """
        with hold(run.lock(self.folder), f"another process executes {run.name}", wait=wait):
            folder = self.folder / run.name
            (folder / FAILURE).unlink(missing_ok=True)
            try:
                self._execute(run, folder, log, on_line)
            except (StepError, CheckpointError, OSError) as error:
                message = str(error) if isinstance(error, StepError) else f"{run.name}: {error}"
                with suppress(OSError):  # a full disk
                    write_json(folder / FAILURE, dict(lines=message.splitlines()))
                    with open(folder / LOG, "a", encoding="utf-8") as file:
                        file.write(f"{run.name} failed: {message}\n")
                raise StepError(message) from error

    def is_finished(self, run: Run) -> bool:
        """Whether a run is finished and not stale."""
        folder = self.folder / run.name
        marker = record.read_marker(folder)
        if marker is None or not marker["outputs"] or (run.needs is not None and self._backbone_hash(run) is None):
            return False
        return record.why_stale(folder, self.inputs(run)) is None

    def _execute(self, run: Run, folder: Path, log: LineCallback, on_line: LineCallback) -> None:
        record_imports()
        backbone = self._backbone(run)
        if backbone is not None and not backbone.is_file() and not self.is_finished(run):
            needed = run.needs and run.needs.name
            reason = "is not finished" if self._backbone_hash(run) is None else f"was imported without {BACKBONE}"
            raise StepError(f"{run.name} has no backbone to start from, because {needed} {reason}.")
        inputs, config = self.inputs(run), self.config(run)
        if not record.begin(folder, run.name, inputs, log):
            return
        started = time.time()
        if backbone is None:
            result = self._pretrain(run, folder, config, on_line)
        else:
            assert config is not None
            result = self._finetune(run, folder, config, backbone, on_line)
        write_json(folder / RESULT, result)
        seconds = time.time() - started
        if config is not None:
            write_json(folder / CURVE, learning_curve(folder / "train"))
            times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (started, started + seconds)]
            provenance = dict(config=config.text, inputs=inputs, processes=self.processes * self.nodes)
            provenance |= dict(started=times[0], ended=times[1], **describe_software())
            provenance |= dict(cfg_options=dict(config.cfg_options)) if config.cfg_options else {}
            write_json(folder / PROVENANCE, provenance)
        outputs = (BACKBONE, RESULT) if backbone is None else (RESULT, DETECTIONS)
        record.finish(folder, inputs, {name: file_hash(folder / name) for name in outputs}, seconds)
        log(f"{run.name}: done in {seconds:.0f} s")

    def config(self, run: Run) -> RunConfig | None:
        """The config that a run trains with; None for an arm that is a checkpoint."""
        config = self.study.arms[run.arm] if run.detector is None else self.study.detectors[run.detector]
        return config if isinstance(config, RunConfig) else None

    def inputs(self, run: Run, digest: str | None = None) -> dict[str, str]:
        """Hashes of what the result of a run depends on, by name; ``digest`` is its backbone's, if known."""
        config = self.config(run)
        values: dict[str, Any]
        if config is None:
            values = {"the checkpoint": file_hash(self._given(run))}
        elif run.needs is None:
            values = {"the pretraining's config": config.text, "the seed": run.pretraining_seed}
        else:
            digest = self._backbone_hash(run) if digest is None else digest
            values = {"the detector's config": config.text, "the backbone": digest, "the seed": run.finetuning_seed}
        return {name: content_hash(value) for name, value in {**self.common, **values}.items()}

    def _given(self, run: Run) -> Path:
        return fetch_checkpoint(str(self.study.arms[run.arm]), self.folder / "checkpoints")

    def _backbone(self, run: Run) -> Path | None:
        return None if run.needs is None else self.folder / run.needs.name / BACKBONE

    def _backbone_hash(self, run: Run) -> str | None:
        """The hash of the backbone that a fine-tuning starts from; an imported one is known by its hash alone."""
        path = self._backbone(run)
        if path is None or path.is_file():
            return None if path is None else str(read_checkpoint(path)["meta"]["hash"])
        return (record.read_marker(path.parent) or {}).get("backbone")

    def _pretrain(self, run: Run, folder: Path, config: RunConfig | None, on_line: LineCallback) -> dict[str, Any]:
        """Train or fetch a backbone, and publish it; the content of the result."""
        if config is None:
            checkpoint, metrics = self._given(run), dict[str, float]()
            documented = documented_training(str(self.study.arms[run.arm]))
        else:
            checkpoint = self._train(folder, config, on_line, f"randomness.seed={run.pretraining_seed}")
            documented, metrics = {}, last_metrics(folder / "train")
        publish_backbone(checkpoint, folder / BACKBONE, **documented)
        with open(folder / CODE, "a", encoding="utf-8") as file:  # this process publishes, not the training
            for name, digest in record_imports().items():
                if name.startswith("transfer/"):
                    file.write(f"{digest}  {name}\n")
        return dict(arm=run.arm, pretraining_seed=run.pretraining_seed, metrics=metrics)

    def _finetune(
        self, run: Run, folder: Path, config: RunConfig, backbone: Path, on_line: LineCallback
    ) -> dict[str, Any]:
        """Train and test a detector; the content of the result."""
        options = [f"randomness.seed={run.finetuning_seed}", f"model.backbone.init_cfg.checkpoint={backbone}"]
        # A C4 detector loads its last stage from the same file.
        shared_head = (config.read().model.get("roi_head") or {}).get("shared_head")
        if shared_head and shared_head.get("init_cfg"):
            options.append(f"model.roi_head.shared_head.init_cfg.checkpoint={backbone}")
        checkpoint = self._train(folder, config, on_line, *options)
        test = folder / "test"
        metrics, detections = test / "metrics.json", test / DETECTIONS
        if not metrics.is_file():  # it is written last
            self._run(folder, "test", on_line, _config_file(folder, config), checkpoint, "--work-dir", test,
                      "--metrics", metrics, "--cfg-options", "test_evaluator._delete_=True",
                      "test_evaluator.type=DetectionMetric", f"test_evaluator.out={detections}")  # fmt: skip
        _link(detections, folder / DETECTIONS)
        proof = read_json(folder / "train" / PROOF)
        found = dict(backbone_hash=proof["backbone_hash"], load_proof=proof, metrics=read_json(metrics))
        return {**asdict(run), **found, "detections": file_hash(detections)}

    def _train(self, folder: Path, config: RunConfig, on_line: LineCallback, *options: str) -> Path:
        """Train until it is finished; the last checkpoint, under one name for every config."""
        work_dir = folder / "train"
        checkpoint = work_dir / "checkpoint.pth"
        if not checkpoint.is_file():
            self._run(folder, "train", on_line, _config_file(folder, config), "--work-dir", work_dir, "--resume",
                      "--cfg-options", *options)  # fmt: skip
            _link(Path((work_dir / "last_checkpoint").read_text(encoding="utf-8").strip()), checkpoint)
        return checkpoint

    def _run(self, folder: Path, program: str, on_line: LineCallback, *arguments: Any) -> None:
        """Run ``smix_mm.cli.train`` or ``smix_mm.cli.test``."""
        words, launch = [*map(str, arguments)], [sys.executable]
        if self.processes * self.nodes > 1:
            words += ["--launcher", "pytorch"]
            launch += ["-m", "torch.distributed.run", f"--nproc-per-node={self.processes}"]
            if self.nodes == 1:
                launch += ["--standalone"]
            else:
                job, head = os.environ["SLURM_JOB_ID"], os.environ.get("SLURMD_NODENAME", socket.gethostname())
                launch[:0] = ["srun", f"--nodes={self.nodes}", f"--ntasks={self.nodes}", "--ntasks-per-node=1"]
                launch += [f"--nnodes={self.nodes}", "--rdzv-backend=c10d", f"--rdzv-id={job}",
                           f"--rdzv-endpoint={head}:{20000 + int(job) % 10000}"]  # fmt: skip
        run_program(
            f"smix_mm.cli.{program}",
            words,
            log=folder / LOG,
            on_line=on_line,
            environment={**self.environment, VARIABLE: str(folder / CODE)},
            launch=launch,
            fork=self.fork,
        )


def _config_file(folder: Path, config: RunConfig) -> Path:
    """The file from which programs read a config; one with settings is written into the folder of its run."""
    if not config.cfg_options:
        return config.path
    # mmengine writes infinite numbers and nan as names, which Python does not define.
    write_text(folder / "config.py", f"from math import inf, nan\n\n{config.text}\ndel inf, nan\n")
    return folder / "config.py"


def _link(path: Path, link: Path) -> None:
    """Make ``link`` a hard link to ``path``."""
    link.unlink(missing_ok=True)
    os.link(path, link)


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
    tests = [entry for entry in log_entries(folder) if any("/" in name for name in entry)]
    last = sorted(tests, key=lambda entry: entry["step"])[-1:]
    return {name: value for entry in last for name, value in entry.items() if "/" in name}


def learning_curve(folder: Path) -> list[dict[str, float]]:
    """``step`` and ``loss`` in the logs of a training's folder; of a step that was repeated, the last loss."""
    losses = {entry["step"]: entry["loss"] for entry in log_entries(folder) if "loss" in entry}
    return [dict(step=step, loss=losses[step]) for step in sorted(losses)]
