"""Every row of the paper's tables and figures, with its config and the paper's figure.

Figures: Uddin et al., SaliencyMix, ICLR 2021 (arXiv 2006.01791). Where the paper has bars and prints
no number, it is ``BARS``; where the row is not the paper's but stands beside it here, ``NONE``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

BARS, NONE = "bars only", "not in the paper"

CIFAR = "CIFAR, top-1 error %, mean and deviation of 5 runs"
IMAGENET = "ImageNet, top-1/top-5 error %"
DETECTORS = "Saliency methods, top-1 error %"
SCHEMES = "Where to cut and where to paste, top-1 error %"
VOC = "Detection, VOC2007 test mAP %, mean of 3 runs"
FGSM = "FGSM, ImageNet top-1 accuracy %"
HOURS = "Training time, CIFAR-10, hours"

VOC_CONFIG = "configs/voc/faster-rcnn_r50-c4_41k_voc0712.py"

NETS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50", "resnet101": "ResNet-101", "wrn-28-10": "WideResNet-28-10"}
ARMS = {
    "baseline": "",
    "cutout": " + Cutout",
    "mixup": " + Mixup",
    "cutmix": " + CutMix",
    "saliencymix": " + SaliencyMix",
    "official-saliencymix": " + SaliencyMix, the released code's",
}

# Columns C10, C10+, C100, C100+.
CIFAR_ERRORS = {
    "resnet18": {
        "baseline": ("10.63±0.26", "4.72±0.21", "36.68±0.57", "22.46±0.31"),
        "cutout": ("9.31±0.18", "3.99±0.13", "34.98±0.29", "21.96±0.24"),
        "cutmix": ("9.44±0.34", "3.78±0.12", "34.42±0.27", "19.42±0.23"),
        "saliencymix": ("7.59±0.22", "3.65±0.10", "28.73±0.13", "19.29±0.21"),
        "official-saliencymix": (NONE,) * 4,
    },
    "resnet50": {
        "baseline": ("12.14±0.95", "4.98±0.14", "36.48±0.50", "21.58±0.43"),
        "cutout": ("8.84±0.77", "3.86±0.25", "32.97±0.74", "21.38±0.69"),
        "cutmix": ("9.16±0.38", "3.61±0.13", "31.65±0.61", "18.72±0.23"),
        "saliencymix": ("6.81±0.30", "3.46±0.08", "24.89±0.39", "18.57±0.29"),
        "official-saliencymix": (NONE,) * 4,
    },
    "wrn-28-10": {
        "baseline": ("6.97±0.22", "3.87±0.08", "26.06±0.22", "18.80±0.08"),
        "cutout": ("5.54±0.08", "3.08±0.16", "23.94±0.15", "18.41±0.27"),
        "cutmix": ("5.18±0.20", "2.87±0.16", "23.21±0.20", "16.66±0.20"),
        "saliencymix": ("4.04±0.13", "2.76±0.07", "19.45±0.32", "16.56±0.17"),
        "official-saliencymix": (NONE,) * 4,
    },
}
IMAGENET_ERRORS = {
    "resnet50": {
        "baseline": "23.68/7.05",
        "cutout": "22.93/6.66",
        "mixup": "22.58/6.40",
        "cutmix": "21.40/5.92",
        "saliencymix": "21.26/5.76",
        "official-saliencymix": NONE,
    },
    "resnet101": {
        "baseline": "21.87/6.29",
        "cutout": "20.72/5.51",
        "mixup": "20.52/5.28",
        "cutmix": "20.17/5.24",
        "saliencymix": "20.09/5.15",
        "official-saliencymix": NONE,
    },
}
# Rows of the paper's ImageNet table for which there is no config here.
OTHERS = {
    "Stochastic Depth": "22.46/6.27",
    "Manifold Mixup": "22.50/6.21",
    "AutoAugment": "22.40/6.20",
    "DropBlock": "21.87/5.98",
    "PuzzleMix": "21.24/5.71",
}
VOC_MAP = {"baseline": "76.71", "cutout": "77.17", "mixup": "77.98", "cutmix": "78.31", "saliencymix": "78.48"}
FGSM_ACCURACY = {"baseline": "8.2", "cutout": "11.5", "mixup": "24.4", "cutmix": "31.0", "saliencymix": "32.96"}
TRAINING_HOURS = {"baseline": "0.83", "cutout": "0.84", "mixup": "0.87", "cutmix": "0.89", "saliencymix": "0.91"}
SALIENCY = {
    "": "fine-grained",
    "-spectral-residual": "spectral residual",
    "-frequency-tuned": "frequency-tuned",
    "-network": "a network of your own (the paper: BASNet)",
}
SCHEME_ROWS = {
    "": "salient to corresponding",
    "-salient-to-salient": "salient to salient",
    "-salient-to-non-salient": "salient to non-salient",
    "-non-salient-to-salient": "non-salient to salient",
    "-non-salient-to-non-salient": "non-salient to non-salient",
}


@dataclass(frozen=True)
class Experiment:
    """A row of one of the paper's tables.

    Attributes:
        table: its title.
        row: its name in the table.
        paper: the paper's figure as printed, ``BARS`` or ``NONE``.
        config: what is run for it; None where there is no config here.
        commands: what to type, in this order, after those of ``pretraining``.
        pretraining: None, or the config of the pretraining that it starts from.
        metrics: names of the figures in a result; of an error, those of the accuracies.
        kind: ``'error'``, ``'share'`` or ``'plain'``: how a figure becomes the table's, as 100 less
            it, 100 times it, or as it is.
    """

    table: str
    row: str
    paper: str
    config: str | None
    commands: tuple[str, ...] = ()
    pretraining: str | None = None
    metrics: tuple[str, ...] = ("accuracy/top1",)
    kind: str = "error"


def train(config: str) -> tuple[str, ...]:
    return (f"python tools/train.py {config}",)


def imagenet_config(net: str, arm: str) -> str:
    return f"configs/imagenet/{net}_{arm}_in1k.py"


def weights(config: str) -> str:
    """Where the last epoch of an ImageNet pretraining lies."""
    return f"work_dirs/{config.rpartition('/')[2].removesuffix('.py')}/epoch_300.pth"


def cifar_rows() -> Iterator[Experiment]:
    columns = (
        ("C10", "cifar10", "-plain"),
        ("C10+", "cifar10", ""),
        ("C100", "cifar100", "-plain"),
        ("C100+", "cifar100", ""),
    )
    for net, arms in CIFAR_ERRORS.items():
        for arm, figures in arms.items():
            for (column, data, form), figure in zip(columns, figures):
                ending = "" if data == "cifar10" else "_cifar100"
                config = f"configs/{data}/{net}{form}_{arm}{ending}.py"
                yield Experiment(CIFAR, f"{NETS[net]}{ARMS[arm]}, {column}", figure, config, train(config))


def imagenet_rows() -> Iterator[Experiment]:
    top = ("accuracy/top1", "accuracy/top5")
    for net, arms in IMAGENET_ERRORS.items():
        for arm, figure in arms.items():
            config = imagenet_config(net, arm)
            yield Experiment(IMAGENET, f"{NETS[net]}{ARMS[arm]}", figure, config, train(config), metrics=top)
    for name, figure in OTHERS.items():
        yield Experiment(IMAGENET, f"ResNet-50 + {name}", figure, None, metrics=top)


def saliency_rows() -> Iterator[Experiment]:
    for data, net, folder, ending in (
        ("CIFAR-10", "resnet18", "cifar10", ""),
        ("Tiny-ImageNet", "resnet50", "tiny_imagenet", "_tiny-imagenet"),
    ):
        for choice, name in SALIENCY.items():
            config = f"configs/{folder}/{net}_saliencymix{choice}{ending}.py"
            start = "SMIX_SALIENCY_NETWORK=network.pt2 " if choice == "-network" else ""
            commands = tuple(start + command for command in train(config))
            yield Experiment(DETECTORS, f"{data}, {NETS[net]}, {name}", BARS, config, commands)


def scheme_rows() -> Iterator[Experiment]:
    for choice, name in SCHEME_ROWS.items():
        config = f"configs/cifar10/resnet18_saliencymix{choice}.py"
        yield Experiment(SCHEMES, f"CIFAR-10, ResNet-18, {name}", BARS, config, train(config))
    config = "configs/cifar10/resnet18_saliencymix-random.py"
    yield Experiment(SCHEMES, "CIFAR-10, ResNet-18, random to corresponding (control)", NONE, config, train(config))


def detection_rows() -> Iterator[Experiment]:
    for arm in (*VOC_MAP, "official-saliencymix"):
        start = imagenet_config("resnet50", arm)
        commands = (
            f"python tools/publish_backbone.py {weights(start)} {arm}.pth",
            f"SMIX_BACKBONE={arm}.pth python tools/train.py {VOC_CONFIG} --work-dir work_dirs/voc_resnet50_{arm}",
        )
        row, figure = f"Faster R-CNN ResNet-50{ARMS[arm]}", VOC_MAP.get(arm, NONE)
        yield Experiment(VOC, row, figure, VOC_CONFIG, commands, start, ("pascal_voc/mAP",), "share")


def attack_rows() -> Iterator[Experiment]:
    for arm in (*FGSM_ACCURACY, "official-saliencymix"):
        config = imagenet_config("resnet50", arm)
        # The paper does not say how large the change is; CutMix's has 8/255.
        commands = (f"python tools/test_robustness.py {config} {weights(config)} --attack fgsm --eps 8/255",)
        row, figure = f"ResNet-50{ARMS[arm]}", FGSM_ACCURACY.get(arm, NONE)
        yield Experiment(FGSM, row, figure, config, commands, config, ("fgsm 8/255",), "plain")


def hours_rows() -> Iterator[Experiment]:
    for arm, figure in TRAINING_HOURS.items():
        config = None if arm == "mixup" else f"configs/cifar10/resnet18_{arm}.py"
        commands = train(config) if config else ()
        yield Experiment(HOURS, f"ResNet-18{ARMS[arm]}", figure, config, commands, None, ("hours",), "plain")


EXPERIMENTS = (
    *cifar_rows(),
    *imagenet_rows(),
    *saliency_rows(),
    *scheme_rows(),
    *detection_rows(),
    *attack_rows(),
    *hours_rows(),
)
"""All rows, in the order of the paper's tables."""
