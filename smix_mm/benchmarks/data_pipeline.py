"""How many images a second a config's training pipeline gives, by CPU time, and where the time goes."""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import process_time
from typing import Any, Callable, Iterator, Mapping, Sequence

import cv2
import torch
from mmengine.dataset import Compose
from mmengine.registry import FUNCTIONS
from torch.utils.data import DataLoader, Dataset

from ..datasets.check.splits import EXTENSIONS, datasets_of
from ..datasets.prepare.pack import QUALITY, SHORT_SIDE, pack
from ..datasets.training_batches import read_classification_config
from ..engine.resume.loops import SeededDataLoader, seed_samples
from ..utils.errors import UsageError
from ..utils.random_state import preserved_random_state
from ..utils.text import markdown_table
from .machine import in_turns, median_and_quartiles

Row = dict[str, Any]

CONFIGS = (
    "configs/imagenet/resnet50_saliencymix_in1k.py",
    "configs/imagenet/resnet50-100e_saliencymix_in1k.py",
    "configs/_base_/datasets/imagenet_fast.py",
    "configs/imagenet/fast/resnet50-100e_saliencymix_in1k.py",
)
GROUPS = ("read", "decode", "crop, resize", "colour", "pack", "other")
_GROUP_OF = {
    "StrictLoadImage": "decode",
    "LoadRandomResizedCrop": "crop, resize",
    "RandomResizedCrop": "crop, resize",
    "RandomFlip": "crop, resize",
    "ColorJitter": "colour",
    "PCALighting": "colour",
    "PackInputs": "pack",
    "PackTensors": "pack",
}


def benchmark_data_pipeline(
    configs: Sequence[str | Path] = CONFIGS,
    *,
    images: str | Path,
    rounds: int = 5,
    passes: int = 2,
    **options: Any,
) -> list[Row]:
    """Measure the training pipelines of configs on photographs, the configs taking turns.

    What a data worker of a training does for a batch is run in this process: seed each sample, read, augment, pack,
    collate. Its CPU time is measured, on one thread, so that other programs disturb it little. For a config that reads
    packed images, the photographs are packed into a temporary folder first.

    Arguments: see ``tools/benchmark_data_pipeline.py --help``; configs are of classification, or data sets under
    ``configs/_base_/datasets``; ``rounds`` is at least 2, and another one before them warms up; ``options`` are
    ``short_side``, ``quality`` and ``cfg_options``.

    Returns:
        For each config: ``config``, ``packed`` (whether it reads packed images), and over the rounds, in ms of CPU
        time per image: ``median_ms`` and ``quartiles_ms`` (first and third) of a worker, ``groups``, the medians of
        :data:`GROUPS`, of which "other" is mostly the seeding, and ``receive_ms``, the median of what the main process
        needs to receive the batch from a worker; ``images_per_second``, of one core of a worker; ``to_first``, the
        median over the rounds of the first config's time over this one's.

    Raises:
        UsageError: a number is too small, there is no photograph, or a config does not exist.
    """
    if rounds < 2 or passes < 1:
        raise UsageError(f"rounds and passes should be at least 2 and 1, got {rounds} and {passes}")
    with open_pipelines(configs, images, **options) as arms:
        times: list[list[dict[str, float]]] = [[] for _ in arms]
        for number, (arm, own) in in_turns(list(zip(arms, times)), rounds + 1):
            measured = arm.measure(passes)
            own += [measured] if number else []
    rows: list[Row] = []
    for arm, own in zip(arms, times):
        totals = [each["all"] for each in own]
        median, quartiles = median_and_quartiles(totals)
        row: Row = dict(config=arm.config, packed=arm.packed, median_ms=median, quartiles_ms=quartiles)
        row["groups"] = {group: statistics.median(each[group] for each in own) for group in GROUPS}
        row["receive_ms"] = statistics.median(each["receive"] for each in own)
        row["images_per_second"] = 1000 / median
        row["to_first"] = statistics.median(one["all"] / total for one, total in zip(times[0], totals))
        rows.append(row)
    return rows


@contextmanager
def open_pipelines(configs: Sequence[str | Path], images: str | Path, **options: Any) -> Iterator[list[Pipeline]]:
    """The configs' pipelines over the photographs of a folder, on one thread; ``options`` of :class:`Pipeline`."""
    paths = sorted(path for path in Path(images).rglob("[!.]*") if path.suffix.lower() in EXTENSIONS)
    if not paths:
        raise UsageError(f"{images} should be a folder with photographs, got none")
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with ExitStack() as stack, preserved_random_state(0):
        stack.callback(torch.set_num_threads, threads[0])
        stack.callback(cv2.setNumThreads, threads[1])
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield [Pipeline(config, paths, root, **options) for config in configs]


def short_name(config: str) -> str:
    """A config's path without ``configs/`` and ``.py``."""
    return config.removeprefix("configs/").removesuffix(".py")


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, in ms of CPU time per image."""
    cells = []
    for row in rows:
        first, third = row["quartiles_ms"]
        groups = (f"{row['groups'][group]:.2f}" for group in GROUPS)
        speed = f"{row['images_per_second']:,.0f}", f"{row['to_first']:.2f}", f"{row['receive_ms']:.2f}"
        cells.append(
            (short_name(row["config"]), *groups, f"{row['median_ms']:.2f}", f"{first:.2f}-{third:.2f}", *speed)
        )
    header = ("config", *GROUPS, "all", "quartiles", "images/s and core", "x first", "main process")
    return markdown_table(header, cells, "lr")


class Pipeline(Dataset):
    """Photographs, with made-up labels, through a config's training pipeline, with CPU times by group."""

    def __init__(
        self,
        config: str | Path,
        paths: Sequence[Path],
        root: Path,
        short_side: int = SHORT_SIDE,
        quality: int = QUALITY,
        cfg_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = str(config)
        try:
            cfg = read_classification_config(config, cfg_options)
        except ValueError as error:
            raise UsageError(str(error)) from None
        steps = datasets_of(cfg, "train")[0][1]["pipeline"]
        self.packed = (steps[0].get("backend_args") or {}).get("backend") == "lmdb"
        self.names = [str(path) for path in paths]
        if self.packed:
            self.names = _pack(paths, root, short_side, quality)
            steps[0]["backend_args"] = dict(backend="lmdb", db_path=str(root / "packed/train.lmdb"))
        self.pipeline = Compose(steps)
        self.seconds = dict.fromkeys(GROUPS, 0.0)
        for transform in self.pipeline.transforms:
            self._time(transform)
        collate = FUNCTIONS.get(cfg.train_dataloader.get("collate_fn", {}).get("type", "default_collate"))
        self.collate = self._timed(collate, "pack")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Any:
        return self.pipeline(dict(img_path=self.names[index], gt_label=index, sample_idx=index))

    def measure(self, passes: int) -> dict[str, float]:
        """CPU time in ms per image, of :data:`GROUPS`, of ``all`` of them and of ``receive``."""
        batches = self.read(passes)
        self.seconds = dict.fromkeys(GROUPS, 0.0)
        start = process_time()
        number = sum(len(batch["inputs"]) for batch in batches)
        seconds = self.seconds | {"all": process_time() - start}
        seconds["other"] += seconds["all"] - sum(self.seconds.values())
        batches = self.read(passes + 1, num_workers=1)
        next(batches)
        start = process_time()
        received = sum(len(batch["inputs"]) for batch in batches)
        return {group: 1000 * each / number for group, each in seconds.items()} | {
            "receive": 1000 * (process_time() - start) / received
        }

    def read(self, passes: int, **options: Any) -> Iterator[Any]:
        """Batches, each a pass over the photographs, with the seeds of a training."""
        indices = list(range(len(self))) * passes
        loader = DataLoader(self, len(self), sampler=indices, collate_fn=self.collate, **options)
        seed_samples(loader, 0, 0)
        assert isinstance(loader, SeededDataLoader)
        return loader.read(0)

    def _time(self, transform: Any) -> None:
        group = _GROUP_OF.get(type(transform).__name__, "other")
        # Loading does more than one thing: its steps are subtracted from its group.
        for method, inner in {"_read": "read", "_decode": "decode"}.items():
            if hasattr(transform, method):
                setattr(transform, method, self._timed(getattr(transform, method), inner, group))
        transform.transform = self._timed(transform.transform, group)

    def _timed(self, function: Callable, group: str, outer: str | None = None) -> Callable:
        """The function, whose time is added to ``group`` and subtracted from ``outer``, in which it is called."""

        def run(*arguments: Any) -> Any:
            start = process_time()
            result = function(*arguments)
            seconds = process_time() - start
            self.seconds[group] += seconds
            if outer is not None:
                self.seconds[outer] -= seconds
            return result

        return run


def _pack(paths: Sequence[Path], root: Path, short_side: int, quality: int) -> list[str]:
    """Pack the photographs, as one class, unless that is done; returns their keys."""
    names = [f"{number:06d}{path.suffix.lower()}" for number, path in enumerate(paths)]
    if not (root / "packed").is_dir():
        folder = root / "files/train/photographs"
        folder.mkdir(parents=True)
        for path, name in zip(paths, names):
            (folder / name).symlink_to(path.resolve())
        pack(root / "files", root / "packed", ["train"], short_side, quality, log=lambda line: None)
    return [f"photographs/{name}" for name in names]
