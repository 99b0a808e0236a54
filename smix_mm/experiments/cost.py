"""What trainings cost on given GPUs and cores: hours, GPU-hours, disk, and which of the two is the limit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from mmengine.config import Config

from ..benchmarks.gpu_record import NOT_MEASURED, read_records, step_times
from ..datasets.prepare.data_set import EXPECTED
from ..study.commands import folder_size
from ..study.config import RunConfig, Study
from ..study.run import RunState, plan_study, read_json, run_state
from ..utils.config import read_config
from ..utils.errors import DataError, UsageError
from ..utils.text import markdown_table

# Training images of the data set in configs/<name>/.
IMAGES = {
    name.replace("-", "_"): counts.images["train"] for name, counts in EXPECTED.items() if "train" in counts.images
}


@dataclass(frozen=True)
class Machine:
    """What trainings have together; N GPUs or cores are taken to be N times as fast as one.

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


class Cost(NamedTuple):
    """Hours of one GPU by its name, and of one core by its processor; empty if not measured."""

    gpu_hours: Mapping[str, float]
    core_hours: Mapping[str, float]


class Measurements:
    """The measured steps and data pipelines in a folder of results, which need not exist; ``root`` has ``configs/``.

    The training steps are in its ``gpu/``, where ``make gpu`` writes them, and the data pipelines in ``pipeline/``,
    where ``tools/benchmark_data_pipeline.py --out`` writes them.

    Raises:
        DataError: a file there is invalid.
    """

    def __init__(self, results: str | Path, root: str | Path, card: str = "") -> None:
        self._root, self._steps = Path(root), dict[str, dict[str, float]]()
        for record in read_records(results):
            for config, entry in step_times(record).items():
                if card.lower() in entry["device"].lower():
                    self._steps.setdefault(config, {})[entry["device"]] = entry["seconds"]
        self._pipelines = []
        for processor, config, speed in _read_pipelines(Path(results) / "pipeline"):
            is_here = (self._root / config).is_file()
            pipeline = _pipeline(read_config(self._root / config)) if is_here else config
            self._pipelines.append((processor, config, pipeline, speed))

    def cost(self, name: str, config: RunConfig) -> Cost:
        """The cost of a training.

        Args:
            name: of its config, from the project's root. A config without crop and flip has the steps of that with
                them, because the loader does both.
            config: the config. Its data pipeline is that of a measured one with the same data and transforms.
        """
        steps = self._steps.get(name, self._steps.get(name.replace("-plain_", "_"), {}))
        if not steps and not self._pipelines:
            return Cost({}, {})
        cfg = config.read()
        if not cfg.get("train_dataloader"):  # a study
            return Cost({}, {})
        try:
            number, images = training_images(name, cfg)
        except DataError:  # the number of images is unknown
            return Cost({}, {})
        core_hours, mine = dict[str, float](), _pipeline(cfg)
        for processor, measured, pipeline, speed in self._pipelines:
            if name == measured or mine == pipeline:
                core_hours.setdefault(processor, images / speed / 3600)
        return Cost({card: number * seconds / 3600 for card, seconds in steps.items()}, core_hours)


def training_images(name: str, cfg: Config) -> tuple[int, int]:
    """Training steps of a config on one GPU, and how many images they read.

    Raises:
        DataError: the config counts epochs, and the number of images of its data set is unknown.
    """
    batch = int(cfg.train_dataloader.batch_size)
    if cfg.train_cfg.get("max_iters"):
        return int(cfg.train_cfg.max_iters), int(cfg.train_cfg.max_iters) * batch
    folder = Path(name).parent.name
    if folder not in IMAGES:
        raise DataError(
            f"{name} should be in {', '.join(IMAGES)} or count iterations: its number of images is unknown."
        )
    epochs = int(cfg.train_cfg.max_epochs)
    return epochs * -(-IMAGES[folder] // batch), epochs * IMAGES[folder]


def describe_each(hours: Mapping[str, float]) -> str:
    """Hours by name as text."""
    return "; ".join(f"{value:.2g} on {name}" for name, value in hours.items()) or NOT_MEASURED


def describe_hours(cost: Cost, machine: Machine) -> str:
    """The hours on a machine with their limit, or what was not measured."""
    gpus = {name: hours / machine.gpus for name, hours in cost.gpu_hours.items()}
    cores = {name: hours / machine.cores for name, hours in cost.core_hours.items()}
    if not gpus and not cores:
        return NOT_MEASURED
    if not gpus or not cores:
        return f"{NOT_MEASURED} (GPUs: {describe_each(gpus)}, data pipeline: {describe_each(cores)})"
    return "; ".join(
        f"{max(by_gpus, by_cores):.2g} on {card}, limited by the {'data pipeline' if by_cores > by_gpus else 'GPUs'} "
        f"(GPUs: {by_gpus:.2g}; data pipeline on {processor}: {by_cores:.2g})"
        for card, by_gpus in gpus.items()
        for processor, by_cores in cores.items()
    )


def describe_size(size: float | None) -> str:
    """Bytes as text."""
    if size is None:
        return NOT_MEASURED
    return f"{size / 2**30:.2g} GiB" if size >= 2**30 else f"{size / 2**20:.2g} MiB"


def plan_costs(
    study: Study, machine: Machine, results: str | Path, root: str | Path, work_dir: str | Path | None = None
) -> str:
    """What the unfinished runs of a study cost, as text; without ``work_dir``, none is finished.

    Hours and disk of a run are also shown as the mean of the finished runs in ``work_dir``, where there are any.
    Settings other than an augmentation may change everything, so with any nothing is measured.
    """
    measured = Measurements(results, root, machine.card)
    folder = None if work_dir is None else Path(work_dir)
    groups: dict[tuple[str, str], list[RunState]] = {}
    for run in plan_study(study):
        state = RunState(run, "waiting") if folder is None else run_state(run, folder)
        groups.setdefault((run.arm if run.detector is None else "", run.kind), []).append(state)
    rows, costs, disks = [], list[Cost](), list[float | None]()
    for (arm, kind), states in groups.items():
        config = study.arms[arm] if arm else study.detectors[kind]
        cost = Cost({}, {})
        if isinstance(config, RunConfig) and {*config.cfg_options} <= {"augment"}:
            name = config.read().filename.rpartition("configs/")[2]
            cost = measured.cost(f"configs/{name}", config)
        left = sum(state.state != "finished" for state in states)
        sizes = [folder_size(folder / state.run.name) for state in states if folder and state.state == "finished"]
        hours = _mean([state.seconds / 3600 for state in states if state.seconds is not None])
        costs += [cost] * left
        disks += [_mean(sizes)] * left
        rows.append((
            f"{arm} {kind}".strip(), len(states), left, describe_each(cost.gpu_hours), describe_each(cost.core_hours),
            NOT_MEASURED if hours is None else f"{hours:.2g}", describe_size(_mean(sizes)),
        ))  # fmt: skip
    header = ("run", "number", "left", "GPU-hours a run", "core-hours a run", "hours a run here", "disk a run")
    total = Cost(_sum(cost.gpu_hours for cost in costs), _sum(cost.core_hours for cost in costs))
    known = [disk for disk in disks if disk is not None]
    lines = [
        markdown_table(header, rows, "lrrrrrr"),
        f"GPU-hours left: {describe_each(total.gpu_hours)}",
        f"hours left on {machine.gpus} GPUs and {machine.cores} cores, at least: {describe_hours(total, machine)}",
        f"disk left to fill: {describe_size(sum(known) if len(known) == len(disks) else None)}",
    ]
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _sum(hours: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sum by name, of the names that all have."""
    every = [*hours]
    common = [name for name in (every[0] if every else {}) if all(name in each for each in every)]
    return {name: sum(each[name] for each in every) for name in common}


def _pipeline(cfg: Config) -> str:
    """The data and what a worker does with them, as text; an empty one is that of no measured config."""
    loader: Any = cfg.get("train_dataloader") or {}
    dataset = loader.get("dataset") or {}
    while dataset.get("dataset"):
        dataset = dataset["dataset"]
    return repr((dataset, loader.get("collate_fn"))) if dataset.get("pipeline") else ""


def _read_pipelines(folder: Path) -> Iterator[tuple[str, str, float]]:
    """Processor, config, and images a second and core of each measured data pipeline."""
    for path in sorted(folder.glob("*.json")):
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
        yield from ((processor, config, speed) for config, speed in rows)
