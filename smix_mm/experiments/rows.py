"""Every row of the paper's tables and figures: its config, what to type, and the paper's figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator

from . import paper
from .paper import BARS, NONE

CIFAR = "CIFAR, top-1 error %, mean and deviation of 5 runs"
IMAGENET = "ImageNet, top-1/top-5 error %"
DETECTORS = "Saliency methods, top-1 error %"
SCHEMES = "Where to cut and where to paste, top-1 error %"
RIVALS = "Rivals, not in the paper, top-1 error %"
VOC = "Detection, VOC2007 test mAP %, mean of 3 runs"
RELEASED = "Detection from the released backbones, VOC2007 test mAP %, mean of 3 runs"
FGSM = "FGSM, ImageNet top-1 accuracy %"
HOURS = "Training time, CIFAR-10, hours"

VOC_CONFIG = "configs/voc/faster-rcnn_r50-c4_41k_voc0712.py"
VOC_METRIC = "voc/mAP_11point"
RELEASED_STUDY = "configs/studies/paper_detection/study.py"
# Config of each study that has rows, by the name in its results.
STUDIES = {"The paper's detection table, from the released backbones": RELEASED_STUDY}

NETS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50", "resnet101": "ResNet-101", "wrn-28-10": "WideResNet-28-10"}
AUGMENTS = {
    "baseline": "",
    "cutout": " + Cutout",
    "mixup": " + Mixup",
    "cutmix": " + CutMix",
    "saliencymix": " + SaliencyMix",
    "official-saliencymix": " + SaliencyMix, the released code's",
}
# Ending of the augmentation's name, name of the row, and what is added to SaliencyMix.
SALIENCY_METHODS = {
    "": ("fine-grained", ()),
    "-spectral-residual": ("spectral residual", ("augment.saliency.type=SpectralResidualSaliency",)),
    "-frequency-tuned": ("frequency-tuned", ("augment.saliency.type=FrequencyTunedSaliency",)),
    "-network": ("a network of your own (the paper: BASNet)", ()),
}
# Very many pixels share the least value, hence the ties.
TIES = "augment.ties=random"
SCHEME_NAMES = {
    "": ("salient to corresponding", ()),
    "-salient-to-salient": ("salient to salient", ("augment.target=salient",)),
    "-salient-to-non-salient": ("salient to non-salient", ("augment.target=non_salient", TIES)),
    "-non-salient-to-salient": (
        "non-salient to salient",
        ("augment.source=non_salient", "augment.target=salient", TIES),
    ),
    "-non-salient-to-non-salient": (
        "non-salient to non-salient",
        ("augment.source=non_salient", "augment.target=non_salient", TIES),
    ),
    "-random": ("random to corresponding (control)", ("augment.source=random",)),
}
RIVAL_NAMES = {
    "resizemix": ("ResizeMix", ("augment=resizemix",)),
    "guidedmixup": ("GuidedMixup", ("augment=guidedmixup",)),
    "recursivemix": ("RecursiveMix", ("augment=recursivemix",)),
    "saliencymix-saliency-label": ("SaliencyMix, labels by visible saliency", ("augment.label=saliency",)),
}


@dataclass(frozen=True)
class Experiment:
    """A row of one of the paper's tables.

    Attributes:
        table: title of the table.
        row: its name in the table.
        paper: the paper's figure as printed, ``BARS`` or ``NONE``, see :mod:`smix_mm.experiments.paper`.
        config: the config that reproduces it; None where this project has none.
        options: what ``--cfg-options`` adds to it. Defaults to nothing.
        commands: what to type, in this order, after those of ``pretraining``.
        pretraining: None, or the config of the pretraining that it starts from.
        run: None, or of a study the arm and the detector.
        metrics: names of the figures in a result; of an error, those of the accuracies.
        kind: how a figure becomes the table's: ``'error'``, 100 less it; ``'share'``, 100 times it; ``'plain'``,
            as it is.
    """

    table: str
    row: str
    paper: str
    config: str | None
    commands: tuple[str, ...] = ()
    pretraining: str | None = None
    metrics: tuple[str, ...] = ("accuracy/top1",)
    kind: str = "error"
    run: str | None = None
    options: tuple[str, ...] = ()

    @property
    def trained(self) -> str | None:
        """The path of its config with the augmentation that the options choose, as a run's copy is named."""
        chosen = [option.partition("=")[2] for option in self.options if option.startswith("augment=")]
        return self.config.replace("baseline", chosen[0]) if self.config and chosen else self.config

    @property
    def start(self) -> str | None:
        """What tells results of one config apart."""
        return self.run or self.pretraining or " ".join(self.options) or None


def train(config: str) -> tuple[str, ...]:
    return (f"python tools/train.py {config}",)


def variant(table: str, row: str, figure: str, baseline: str, augment: str, options: tuple[str, ...]) -> Experiment:
    """The row of an augmentation: its own config, or with options the baseline's or SaliencyMix's."""
    config = name = baseline.replace("baseline", augment)
    words = ["--cfg-options", *options] if options else []
    if options == (f"augment={augment}",):
        config = baseline
    elif options:
        config = baseline.replace("baseline", "saliencymix")
        words += ["--work-dir", f"work_dirs/{Path(name).stem}"]
    return Experiment(table, row, figure, config, (" ".join([*train(config), *words]),), options=options)


def imagenet_config(net: str, augment: str) -> str:
    return f"configs/imagenet/{net}_{augment}_in1k.py"


def weights(config: str) -> str:
    """Where the last epoch of an ImageNet pretraining is saved."""
    return f"work_dirs/{config.rpartition('/')[2].removesuffix('.py')}/epoch_300.pth"


def cifar_rows() -> Iterator[Experiment]:
    for net, augments in paper.CIFAR_ERRORS.items():
        for augment, figures in augments.items():
            for column, figure in zip(paper.CIFAR_COLUMNS, figures):
                plain = "" if column.endswith("+") else "-plain"
                folder = "cifar100" if "100" in column else "cifar10"
                config = f"configs/{folder}/{net}{plain}_baseline_{folder}.py"
                row = f"{NETS[net]}{AUGMENTS[augment]}, {column}"
                options = ("augment=official-saliencymix",) if augment == "official-saliencymix" else ()
                yield variant(CIFAR, row, figure, config, augment, options)
    for name, columns in paper.CIFAR_ERRORS_WITHOUT_CONFIG.items():
        for column, figure in columns.items():
            yield Experiment(CIFAR, f"{NETS['wrn-28-10']} + {name}, {column}", figure, None)


def imagenet_rows() -> Iterator[Experiment]:
    top = ("accuracy/top1", "accuracy/top5")
    for net, augments in paper.IMAGENET_ERRORS.items():
        for augment, figure in augments.items():
            config = imagenet_config(net, augment)
            yield Experiment(IMAGENET, f"{NETS[net]}{AUGMENTS[augment]}", figure, config, train(config), metrics=top)
    for name, figure in paper.IMAGENET_ERRORS_WITHOUT_CONFIG.items():
        yield Experiment(IMAGENET, f"ResNet-50 + {name}", figure, None, metrics=top)


def saliency_rows() -> Iterator[Experiment]:
    for data, net, folder in (("CIFAR-10", "resnet18", "cifar10"), ("Tiny-ImageNet", "resnet50", "tiny_imagenet")):
        for choice, (name, options) in SALIENCY_METHODS.items():
            config = f"configs/{folder}/{net}_baseline_{folder.replace('_', '-')}.py"
            row = variant(DETECTORS, f"{data}, {NETS[net]}, {name}", BARS, config, f"saliencymix{choice}", options)
            if choice == "-network":
                row = replace(row, commands=tuple(f"SMIX_SALIENCY_NETWORK=network.pt2 {each}" for each in row.commands))
            yield row


def scheme_rows() -> Iterator[Experiment]:
    config = "configs/cifar10/resnet18_baseline_cifar10.py"
    for choice, (name, options) in SCHEME_NAMES.items():
        figure = NONE if choice == "-random" else BARS
        yield variant(SCHEMES, f"CIFAR-10, ResNet-18, {name}", figure, config, f"saliencymix{choice}", options)


def rival_rows() -> Iterator[Experiment]:
    sets = (("CIFAR-10", "resnet18", "cifar10", "cifar10"), ("CIFAR-100", "resnet18", "cifar100", "cifar100"))
    for data, net, folder, ending in (*sets, ("ImageNet", "resnet50", "imagenet", "in1k")):
        for augment, (name, options) in RIVAL_NAMES.items():
            config = f"configs/{folder}/{net}_baseline_{ending}.py"
            yield variant(RIVALS, f"{data}, {NETS[net]} + {name}", NONE, config, augment, options)


def detection_rows() -> Iterator[Experiment]:
    for augment in paper.VOC_MAP:
        start = imagenet_config("resnet50", augment)
        commands = (
            f"python tools/publish_backbone.py {weights(start)} {augment}.pth",
            f"SMIX_BACKBONE={augment}.pth python tools/train.py {VOC_CONFIG} "
            f"--work-dir work_dirs/voc_resnet50_{augment}",
        )
        row = f"Faster R-CNN ResNet-50{AUGMENTS[augment]}"
        yield Experiment(VOC, row, detection_figure(augment), VOC_CONFIG, commands, start, (VOC_METRIC,), "share")


def detection_figure(augment: str) -> str:
    """The figures of both papers, which have other protocols."""
    figure, other = paper.VOC_MAP[augment], paper.CUTMIX_VOC_MAP.get(augment)
    return f"{figure} (CutMix paper {other})" if other else figure


def released_rows() -> Iterator[Experiment]:
    commands = (
        "python tools/prepare_data.py released-backbones --check",
        f"python tools/study.py run {RELEASED_STUDY} --work-dir work_dirs/paper_detection",
    )
    for detector in ("c4", "fpn"):
        for augment in paper.VOC_MAP:
            if augment != "official-saliencymix":
                row = f"Faster R-CNN ResNet-50 {detector}{AUGMENTS[augment]}"
                figure = detection_figure(augment) if detector == "c4" else NONE
                run = f"{augment} {detector}"
                yield Experiment(RELEASED, row, figure, RELEASED_STUDY, commands, None, (VOC_METRIC,), "share", run)


def attack_rows() -> Iterator[Experiment]:
    for augment, figure in paper.FGSM_ACCURACY.items():
        config = imagenet_config("resnet50", augment)
        commands = (
            f"python tools/test_robustness.py {config} {weights(config)} --attack fgsm --eps 8/255 "
            f"--out work_dirs/robustness_{augment}",
        )
        row = f"ResNet-50{AUGMENTS[augment]}"
        yield Experiment(FGSM, row, figure, config, commands, config, ("fgsm 8/255",), "plain")


def hours_rows() -> Iterator[Experiment]:
    for augment, figure in paper.TRAINING_HOURS.items():
        config = None if augment == "mixup" else f"configs/cifar10/resnet18_{augment}_cifar10.py"
        row = f"ResNet-18{AUGMENTS[augment]}"
        yield Experiment(HOURS, row, figure, config, train(config) if config else (), None, ("hours",), "plain")


EXPERIMENTS = (
    *cifar_rows(),
    *imagenet_rows(),
    *saliency_rows(),
    *scheme_rows(),
    *rival_rows(),
    *released_rows(),
    *detection_rows(),
    *attack_rows(),
    *hours_rows(),
)
"""All rows, in the order of the paper's tables."""
