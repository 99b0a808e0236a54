"""What trainings cost on given GPUs and cores: hours, GPU-hours, disk, and which of the two is the limit.

Every figure is computed from measurements: the training steps in ``gpu/`` of a folder of results, which ``make gpu``
writes, and the data pipelines in ``pipeline/``, which ``tools/benchmark_data_pipeline.py --out`` writes. N GPUs or
cores are taken to be N times as fast as one, so hours are a lower limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Mapping

from mmengine.config import Config

from ..benchmarks.gpu_record import NOT_MEASURED
from ..study.commands import folder_size
from ..study.config import RunConfig, Study
from ..study.plan import RunState, plan_study, run_state
from ..utils.errors import DataError, UsageError
from ..utils.text import markdown_table
from .records import read_json, read_step_times, training_images

PIPELINES = "pipeline"


@dataclass(frozen=True)
class Machine:
    """What trainings have together.

    Attributes:
        gpus: number of GPUs. Defaults to 1.
        cores: number of CPU cores that load data. Defaults to 1.
        card: only measurements of GPUs whose name contains this, ignoring case. Defaults to all.

    Raises:
        UsageError: a number is not positive.
    """

    gpus: int = 1
    cores: int = 1
    card: str = ""

    def __post_init__(self) -> None:
        if min(self.gpus, self.cores) < 1:
            raise UsageError(f"gpus and cores should be at least 1, got {self.gpus} and {self.cores}.")


@dataclass(frozen=True)
class Cost:
    """Hours of one GPU by its name, and of one core by its processor; empty if not measured."""

    gpu_hours: Mapping[str, float]
    core_hours: Mapping[str, float]


class Measurements:
    """The measured steps and data pipelines in a folder of results, which need not exist.

    Raises:
        DataError: a file there is invalid.
    """

    def __init__(self, results: str | Path, root: str | Path, card: str = "") -> None:
        self._root, self._keys = Path(root), dict[str, str]()
        steps = read_step_times(results).items()
        self._steps = {name: [e for e in found if card.lower() in e["device"].lower()] for name, found in steps}
        self._pipelines = _read_pipelines(results)

    def cost(self, name: str, cfg: Config) -> Cost:
        """The cost of a training.

        Args:
            name: of its config, from the project's root. A config without crop and flip has the steps of that with
                them, because the loader does both.
            cfg: the config. Its data pipeline is that of a measured one with the same data and transforms.
        """
        try:
            steps, images = training_images(name, cfg)
        except DataError:  # the number of images is unknown
            return Cost({}, {})
        times = self._steps.get(name, self._steps.get(name.replace("-plain_", "_"), ()))
        key = _pipeline(cfg) if self._pipelines else ""
        return Cost(
            {entry["device"]: steps * entry["seconds"] / 3600 for entry in times},
            {
                processor: images / speed / 3600
                for processor, config, speed in reversed(self._pipelines)
                if name == config or key == self._key(config)
            },
        )

    def _key(self, config: str) -> str:
        from ..utils.config import read_config

        if config not in self._keys:
            path = self._root / config
            self._keys[config] = _pipeline(read_config(path)) if path.is_file() else config
        return self._keys[config]


def describe_hours(cost: Cost, machine: Machine) -> str:
    """The hours on a machine with their limit, or what was not measured."""
    gpus = [(name, hours / machine.gpus) for name, hours in cost.gpu_hours.items()]
    cores = [(name, hours / machine.cores) for name, hours in cost.core_hours.items()]
    if not gpus or not cores:
        if not gpus and not cores:
            return NOT_MEASURED
        return f"{NOT_MEASURED} (GPUs: {_each(dict(gpus))}, data pipeline: {_each(dict(cores))})"
    found = []
    for card, by_gpus in gpus:
        for processor, by_cores in cores:
            limits = f"GPUs: {by_gpus:.2g}; data pipeline on {processor}: {by_cores:.2g}"
            limit = "data pipeline" if by_cores > by_gpus else "GPUs"
            found.append(f"{max(by_gpus, by_cores):.2g} on {card}, limited by the {limit} ({limits})")
    return "; ".join(found)


def describe_disk(folder: Path) -> str:
    """The size of the folder of an earlier run."""
    return _size(folder_size(folder)) if folder.is_dir() else NOT_MEASURED


def plan_costs(
    study: Study, machine: Machine, results: str | Path, root: str | Path, work_dir: str | Path | None = None
) -> str:
    """What the unfinished runs of a study cost, as text; without ``work_dir``, none is finished.

    Hours and disk of a run are also shown as the mean of the finished runs in ``work_dir``, where there are any.
    """
    measured = Measurements(results, root, machine.card)
    folder = None if work_dir is None else Path(work_dir)
    states = [RunState(run, "waiting") if folder is None else run_state(run, folder) for run in plan_study(study)]
    groups: dict[tuple[str, str], list[RunState]] = {}
    for state in states:
        group = (state.run.arm if state.run.detector is None else "", state.run.kind)
        groups.setdefault(group, []).append(state)
    rows, costs, disks = [], list[Cost](), list[float | None]()
    for (arm, kind), members in groups.items():
        config = study.arms[arm].pretraining if arm else study.detectors[kind]
        left = sum(state.state != "finished" for state in members)
        sizes = [folder_size(folder / state.run.name) for state in members if folder and state.state == "finished"]
        seconds = [state.seconds for state in members if state.seconds is not None]
        disk = sum(sizes) / len(sizes) if sizes else None
        cost = _cost(measured, config)
        costs += [cost] * left
        disks += [disk] * left
        rows.append((
            f"{arm} {kind}".strip(), len(members), left,
            _each(cost.gpu_hours),
            _each(cost.core_hours),
            f"{sum(seconds) / len(seconds) / 3600:.2g}" if seconds else NOT_MEASURED,
            NOT_MEASURED if disk is None else _size(disk),
        ))  # fmt: skip
    header = ("run", "number", "left", "GPU-hours a run", "core-hours a run", "hours a run here", "disk a run")
    total = Cost(_sum(cost.gpu_hours for cost in costs), _sum(cost.core_hours for cost in costs))
    known = [disk for disk in disks if disk is not None]
    lines = [
        markdown_table(header, rows, "lrrrrrr"),
        f"GPU-hours left: {_each(total.gpu_hours)}",
        f"hours left on {machine.gpus} GPUs and {machine.cores} cores, at least: {describe_hours(total, machine)}",
        f"disk left to fill: {_size(sum(known)) if len(known) == len(disks) else NOT_MEASURED}",
    ]
    return "\n".join(lines)


def _cost(measured: Measurements, config: RunConfig | None) -> Cost:
    """Of a study's config; settings other than an augmentation may change everything, so nothing is measured."""
    if config is None or {*config.cfg_options} - {"augment"}:
        return Cost({}, {})
    cfg = config.read()
    return measured.cost(f"configs/{cfg.filename.rpartition('configs/')[2]}", cfg)


def _each(hours: Mapping[str, float]) -> str:
    return "; ".join(f"{value:.2g} on {name}" for name, value in hours.items()) or NOT_MEASURED


def _sum(hours: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sum by name, of the names that all have."""
    every = [*hours]
    common = [name for name in (every[0] if every else {}) if all(name in each for each in every)]
    return {name: sum(each[name] for each in every) for name in common}


def _size(size: float) -> str:
    return f"{size / 2**30:.2g} GiB" if size >= 2**30 else f"{size / 2**20:.2g} MiB"


def _pipeline(cfg: Config) -> str:
    """The data and what a worker does with them, as text; an empty one is that of no measured config."""
    loader: Any = cfg.get("train_dataloader") or {}
    dataset = loader.get("dataset") or {}
    while dataset.get("dataset"):
        dataset = dataset["dataset"]
    return repr((dataset, loader.get("collate_fn"))) if dataset.get("pipeline") else ""


def _read_pipelines(results: str | Path) -> list[tuple[str, str, float]]:
    """Processor, config, and images a second and core of each measured data pipeline."""
    found = []
    for path in sorted((Path(results) / PIPELINES).glob("*.json")):
        content = read_json(path)
        try:
            processor = str(content["machine"]["processor"])
            rows = [(str(row["config"]), float(row["images_per_second"])) for row in content["rows"]]
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} should have machine.processor, and rows with config and images_per_second, as "
                f"tools/benchmark_data_pipeline.py --out writes them; got {type(error).__name__}: {error}."
            ) from error
        if any(not speed > 0 for _, speed in rows):
            raise DataError(f"{path} should have images_per_second above 0, got {rows}.")
        found += [(processor, config, speed) for config, speed in rows]
    return found
