"""The paper's figures as printed: Uddin et al., SaliencyMix, ICLR 2021 (arXiv 2006.01791).

Keys are networks and augmentations as the names of configs have them. Where the paper has bars and prints no number,
a figure is ``BARS``; where a row is not the paper's and is listed beside it, ``NONE``.
"""

from ..study.report.content import CUTMIX_PAPER, SALIENCYMIX_PAPER

BARS, NONE = "bars only", "not in the paper"

# Top-1 error %, mean and deviation of 5 runs.
CIFAR_COLUMNS = ("C10", "C10+", "C100", "C100+")
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
# Rows without a config here, all WideResNet-28-10; PuzzleMix is by a run of 200 epochs.
CIFAR_ERRORS_WITHOUT_CONFIG = {
    "AutoAugment": {"C10+": "2.60±0.10", "C100+": "17.10±0.30"},
    "PuzzleMix": {"C100+": "16.23"},
}

# Top-1/top-5 error %.
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
# Rows of the ImageNet table without a config here, by the paper's name; all ResNet-50.
IMAGENET_ERRORS_WITHOUT_CONFIG = {
    "Stochastic Depth": "22.46/6.27",
    "Manifold Mixup": "22.50/6.21",
    "AutoAugment": "22.40/6.20",
    "DropBlock": "21.87/5.98",
    "PuzzleMix": "21.24/5.71",
}

# Faster R-CNN ResNet-50, VOC2007 test mAP %, mean of 3 runs.
VOC_MAP = {name.lower(): f"{figure:.2f}" for name, figure in SALIENCYMIX_PAPER.items()}
VOC_MAP["official-saliencymix"] = NONE
CUTMIX_VOC_MAP = {name.lower(): f"{figure:.1f}" for name, figure in CUTMIX_PAPER.items()}

# ResNet-50, ImageNet top-1 accuracy % on images changed by FGSM. All but SaliencyMix's are the CutMix paper's, with a
# change of 8/255 by its appendix E.1; this paper does not give its size.
FGSM_ACCURACY = {
    "baseline": "8.2",
    "cutout": "11.5",
    "mixup": "24.4",
    "cutmix": "31.0",
    "saliencymix": "32.96",
    "official-saliencymix": NONE,
}

# ResNet-18 on CIFAR-10.
TRAINING_HOURS = {"baseline": "0.83", "cutout": "0.84", "mixup": "0.87", "cutmix": "0.89", "saliencymix": "0.91"}
