"""A hook that keeps boxes without area out of a detector's loss."""

from __future__ import annotations

from typing import Any, Iterator

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

_SHOWN = 5


@HOOKS.register_module()
class BoxCheckHook(Hook):
    """Look at every training box before the first iteration.

    The logarithm of a box side of zero turns the box loss into NaN. Boxes without area that
    the dataset's filter already ignores (``filter_cfg=dict(bbox_min_size=1)``) are counted in
    the log with their files; any that would reach the loss stop the run.

    Raises:
        ValueError: a box without area would be trained on; the message names its files.
    """

    def before_train(self, runner: Runner) -> None:
        """Count boxes without area among ignored and trained-on ones."""
        ignored: dict[str, int] = {}
        used: dict[str, int] = {}
        for dataset in leaf_datasets(runner.train_dataloader.dataset):
            for index in range(len(dataset)):
                info = dataset.get_data_info(index)
                for instance in info.get("instances", ()):
                    x1, y1, x2, y2 = instance["bbox"]
                    if x2 <= x1 or y2 <= y1:
                        files = ignored if instance.get("ignore_flag") else used
                        name = str(info.get("xml_path") or info.get("img_path"))
                        files[name] = files.get(name, 0) + 1
        if used:
            raise ValueError(
                f"{_counted(used)} would turn the loss into NaN; wanted boxes with an area: mend the files, or "
                "set filter_cfg=dict(filter_empty_gt=True, bbox_min_size=1) in the training dataset"
            )
        if ignored:
            runner.logger.warning(f"{_counted(ignored)}; left out of training by bbox_min_size.")


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """The datasets inside wrappers that repeat or concatenate, each once."""
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from leaf_datasets(part)
    elif hasattr(dataset, "dataset"):
        yield from leaf_datasets(dataset.dataset)
    elif hasattr(dataset, "get_data_info"):
        yield dataset


def _counted(files: dict[str, int]) -> str:
    boxes = sum(files.values())
    names = ", ".join(sorted(files)[:_SHOWN])
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return f"{boxes} {'box' if boxes == 1 else 'boxes'} without area in {names}{more}"
