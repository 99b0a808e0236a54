"""A hook that keeps boxes without area out of a detector's loss."""

from __future__ import annotations

from typing import Any, Iterator

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..datasets.check.voc import usable_box

_SHOWN = 5


@HOOKS.register_module()
class BoxCheckHook(Hook):
    """Look at every training box before the first iteration.

    The logarithm of a box side of zero turns the box loss into NaN. Boxes without area that something
    leaves out of training (the dataset's ``filter_cfg=dict(bbox_min_size=1)``, or ``SanitizeBoxes`` in its
    pipeline, which ``tools/train.py`` puts there) are counted in one warning with their files; any that
    would reach the loss stop the run.

    Args:
        quiet: leave out the warning, because :func:`~smix_mm.datasets.check.strict.make_strict` gave it.

    Raises:
        ValueError: a box without area would be trained on; the message names its files.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def before_train(self, runner: Runner) -> None:
        """Count boxes without area among those left out and those trained on."""
        left_out: dict[str, int] = {}
        used: dict[str, int] = {}
        for dataset in leaf_datasets(runner.train_dataloader.dataset):
            steps = getattr(getattr(dataset, "pipeline", None), "transforms", ())
            fixed = any(type(step).__name__ == "SanitizeBoxes" for step in steps)
            for info in _infos(dataset):
                for instance in info["instances"]:
                    # The size in an annotation can be wrong; SanitizeBoxes knows the image's.
                    if not usable_box(instance["bbox"], (float("inf"), float("inf"))):
                        files = left_out if fixed or instance.get("ignore_flag") else used
                        name = str(info.get("xml_path") or info.get("img_path"))
                        files[name] = files.get(name, 0) + 1
        if used:
            raise ValueError(
                f"{_counted(used)} would turn the loss into NaN; wanted boxes with an area: fix the files, or "
                "set filter_cfg=dict(filter_empty_gt=True, bbox_min_size=1) in the training dataset"
            )
        if left_out and not self.quiet:
            runner.logger.warning(f"{_counted(left_out)}; left out of training.")


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """The datasets inside wrappers that repeat or concatenate, each once."""
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from leaf_datasets(part)
    elif hasattr(dataset, "dataset"):
        yield from leaf_datasets(dataset.dataset)
    elif hasattr(dataset, "get_data_info"):
        yield dataset


def _infos(dataset: Any) -> Iterator[dict[str, Any]]:
    """A dataset's annotations, where it has boxes."""
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if "instances" not in info:
            return
        yield info


def _counted(files: dict[str, int]) -> str:
    boxes = sum(files.values())
    names = ", ".join(sorted(files)[:_SHOWN])
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return f"{boxes} {'box' if boxes == 1 else 'boxes'} without area in {names}{more}"
