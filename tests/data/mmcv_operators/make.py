"""What mmcv's compiled CPU operators give, written beside this file: one .pt for each operator, a list of cases.

    python tests/data/mmcv_operators/make.py

needs the compiled operators (`make setup MMCV_OPS=1`). mmcv has no CPU kernel for RoIPool and the focal losses: they
have no file here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FOLDER = Path(__file__).parent


def run(operator: str, inputs: list[Tensor], options: list[Any] | dict[str, Any]) -> dict[str, list[Tensor]]:
    """The outputs of ``mmcv.ops.<operator>`` and, where the first is differentiable, the gradients of the inputs that
    are floating for a fixed, uneven gradient of the output."""
    from mmcv import ops

    function = getattr(ops, operator)
    if isinstance(options, dict):
        return dict(outputs=list(function(*inputs, **options)), gradients=[])
    # RoIs are no leaf in the training of a detector, and get no gradient.
    leaves = [
        one.clone().requires_grad_(not (operator.startswith("roi") and place)) for place, one in enumerate(inputs)
    ]
    output = function(*leaves, *options)
    output.backward(torch.linspace(-1, 2, output.numel(), dtype=torch.float64).to(output).view_as(output))
    return dict(outputs=[output.detach()], gradients=[leaf.grad for leaf in leaves if leaf.grad is not None])


def cases(random: torch.Generator) -> dict[str, list[tuple[str, list[Tensor], list[Any] | dict[str, Any]]]]:
    """By operator: the name of a case, the tensors and the other arguments."""

    def uniform(*shape: int, low: float = 0, high: float = 1) -> Tensor:
        return torch.empty(shape).uniform_(low, high, generator=random)

    def boxes(count: int, width: float, height: float) -> Tensor:
        first = uniform(count, 2) * torch.tensor([width, height])
        return torch.cat([first, first + uniform(count, 2, low=0.05, high=0.6) * torch.tensor([width, height])], 1)

    many, scores = boxes(40, 100, 80), uniform(40)
    flat = many.div(20).round().mul(20)
    coarse = torch.cat([flat[:, :2], flat[:, 2:].maximum(flat[:, :2] + 20)], 1)
    tied = scores.mul(4).round().div(4)
    # Overlaps of exactly 3/10 and 7/10, which as float32 and float64 lie on different sides of themselves.
    exact = torch.tensor([[0.0, 0, 10, 10], [0, 7, 10, 10], [50, 0, 60, 10], [50, 0, 60, 7]])
    suppression = [
        ("40 boxes", [many, scores], {}),
        ("equal scores and equal boxes", [coarse, tied], {}),
        ("offset 1", [coarse, tied], dict(offset=1)),
        ("no boxes", [many[:0], scores[:0]], {}),
        ("one box", [many[:1], scores[:1]], {}),
    ]
    nms = [(name, inputs, dict(iou_threshold=0.5, **options)) for name, inputs, options in suppression]
    for threshold in (0.3, 0.7):
        nms.append((f"overlaps of exactly {threshold}", [exact, scores[:4]], dict(iou_threshold=threshold)))
    nms.append(("boxes without area", [flat, scores], dict(iou_threshold=0.5)))
    nms.append(("at most 7 above 0.4", [many, scores], dict(iou_threshold=0.5, score_threshold=0.4, max_num=7)))
    soft_nms = [
        (f"{method}, {name}", inputs, dict(method=method, min_score=0.05, **options))
        for method in ("naive", "linear", "gaussian")
        for name, inputs, options in suppression
    ]

    features = uniform(2, 2, 8, 9, low=-1)
    rois = torch.cat([torch.tensor([[0.0], [1], [1], [0], [1], [0]]), boxes(6, 32, 28)], 1)
    rois[4, 1:] = torch.tensor([-30.0, -20, 60, 50])  # beyond the image on all sides
    rois[5, 3:] = rois[5, 1:3]  # without area
    roi_align = [
        (f"sampling ratio {ratio}, aligned {aligned}", [features, rois], [(3, 2), 0.25, ratio, "avg", aligned])
        for ratio in (0, 2)
        for aligned in (True, False)
    ]
    roi_align.append(("no RoIs", [features, rois[:0]], [(3, 2), 0.25, 0, "avg", True]))

    images = uniform(2, 4, 4, 5, low=-1)
    deform, modulated = [], []
    for stride, padding, dilation, groups, deform_groups in ((1, 1, 1, 1, 1), (2, 2, 2, 2, 2)):
        name = f"stride {stride}, padding {padding}, dilation {dilation}, {groups} and {deform_groups} groups"
        geometry = [stride, padding, dilation, groups, deform_groups]
        height, width = ((extent + 2 * padding - 2 * dilation - 1) // stride + 1 for extent in (4, 5))
        offset = uniform(2, deform_groups * 18, height, width, low=-2, high=2)
        mask = uniform(2, deform_groups * 9, height, width)
        weight, bias = uniform(4, 4 // groups, 3, 3, low=-1), uniform(4, low=-1)
        deform.append((name, [images, offset, weight], geometry))
        modulated.append((name, [images, offset, mask, weight, bias], geometry))
    modulated.append((f"{name}, no bias", [images, offset, mask, weight], [None, *geometry]))
    return dict(
        nms=nms, soft_nms=soft_nms, roi_align=roi_align, deform_conv2d=deform, modulated_deform_conv2d=modulated
    )


if __name__ == "__main__":
    from mmcv import ops

    print(f"mmcv's operators, compiled by {ops.get_compiler_version()}")
    for operator, listed in cases(torch.Generator().manual_seed(0)).items():
        content = [
            dict(name=name, inputs=inputs, options=options, **run(operator, inputs, options))
            for name, inputs, options in listed
        ]
        for case in content if operator == "nms" else []:
            # mmcv takes equal scores as torch's unstable sort leaves them, which depends on the CPU.
            case["order"] = case["inputs"][1].sort(0, descending=True)[1]
        torch.save(content, FOLDER / f"{operator}.pt")
        print(f"{operator}: {len(content)} cases")
