"""The patch: its size, its box, the pasted image and the exact label.

A box is ``(y1, x1, y2, x2)`` in pixels, half-open: rows y1 to y2 - 1, columns x1 to x2 - 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..saliency.fine_grained.detector import gpu_kernel, is_compiling


def patch_size(lam: Tensor, height: int, width: int) -> Tensor:
    """Sides of the patch, ``int(side * sqrt(1 - lam))`` (CutMix, arXiv 1905.04899, eq. 2).

    Args:
        lam: float64 (N,) in [0, 1], on the CPU.
        height, width: of the images.

    Returns:
        int64 (N, 2): height and width of each patch.
    """
    ratio = (1 - lam).clamp(min=0).sqrt()
    return torch.stack(((height * ratio).long(), (width * ratio).long()), 1)


def place_patches(
    source: Tensor, target: Tensor, size: Tensor, height: int, width: int, border: str
) -> tuple[Tensor, Tensor]:
    """Boxes around the points to cut from and to paste to: of equal size, inside the image.

    Args:
        source, target: int64 (N, 2), (y, x) to cut and to paste around.
        size: int64 (N, 2), height and width of the patches.
        height, width: of the images.
        border: ``'shift'`` moves a patch that crosses a border inside, whole (the paper,
            section 3.2); ``'clip'`` cuts it off where either box crosses a border (the released code).

    Returns:
        int64 (N, 4) twice: source boxes and target boxes.
    """
    # Filled on the device: copying two numbers to a GPU would wait for it.
    sides = torch.stack([torch.full((), side, device=source.device) for side in (height, width)])
    half = size // 2
    if border == "shift":
        first = torch.minimum((source - half).clamp(min=0), sides - size)
        second = torch.minimum((target - half).clamp(min=0), sides - size)
        return torch.cat((first, first + size), 1), torch.cat((second, second + size), 1)
    before = torch.minimum(torch.minimum(source, target), half)
    after = torch.minimum(sides - torch.maximum(source, target), half)
    return torch.cat((source - before, source + after), 1), torch.cat((target - before, target + after), 1)


def box_area(boxes: Tensor) -> Tensor:
    """int64 (N,): number of pixels in each of the boxes (N, 4)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """bool (N, H, W): true inside each of the boxes (N, 4)."""
    rows = torch.arange(height, device=boxes.device)
    columns = torch.arange(width, device=boxes.device)
    inside_rows = (rows >= boxes[:, 0:1]) & (rows < boxes[:, 2:3])
    inside_columns = (columns >= boxes[:, 1:2]) & (columns < boxes[:, 3:4])
    return inside_rows[:, :, None] & inside_columns[:, None, :]


def paste(images: Tensor, partner: Tensor, source_boxes: Tensor, target_boxes: Tensor, same_place: bool) -> Tensor:
    """Each image with its partner's source box pasted into its own target box.

    Args:
        images: any dtype, (N, C, H, W); not changed.
        partner, source_boxes, target_boxes, same_place: see :class:`~smix_mm.mixing.MixPlan`; the last saves a gather.

    Returns:
        a new tensor of the dtype, device and memory format of ``images``.
    """
    gapless = images.is_contiguous() or images.is_contiguous(memory_format=torch.channels_last)
    # torch.compile fuses the plain form itself.
    if images.is_cuda and gapless and images.numel() and not is_compiling() and gpu_kernel(images.device):
        from . import paste_kernel

        if paste_kernel.works(images.device):
            return paste_kernel.paste(images, partner, source_boxes, target_boxes)
    height, width = images.shape[2:]
    inside = box_mask(target_boxes, height, width)[:, None]
    if same_place:
        other = images[partner]
    else:
        offset = source_boxes[:, :2] - target_boxes[:, :2]
        rows = torch.arange(height, device=images.device) + offset[:, 0:1]
        columns = torch.arange(width, device=images.device) + offset[:, 1:2]
        rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        other = images.permute(0, 2, 3, 1)[partner[:, None, None], rows[:, :, None], columns[:, None, :]]
        other = other.permute(0, 3, 1, 2)
    return in_format_of(images, torch.where(inside, other, images))


def in_format_of(images: Tensor, mixed: Tensor) -> Tensor:
    """``mixed`` in the memory format of ``images``: channels last or contiguous."""
    channels_last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    return mixed.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def blend_targets(targets: Tensor, partner: Tensor, pasted: Tensor, pixels: int) -> Tensor:
    """Labels mixed by area: ``(1 - pasted/pixels) * own + pasted/pixels * partner's``.

    Args:
        targets: floating scores (N, K); not changed.
        partner, pasted, pixels: see :class:`~smix_mm.mixing.MixPlan`.

    Returns:
        (N, K) of the same dtype; the weights are quotients of integers, rounded once.
    """
    exact = torch.float64 if targets.dtype == torch.float64 else torch.float32
    # Divided by a tensor: a GPU multiplies by the rounded reciprocal of a Python number.
    whole = torch.full((), pixels, dtype=exact, device=pasted.device)
    return weigh(targets, targets[partner], (pixels - pasted).to(exact) / whole, pasted.to(exact) / whole)


def weigh(targets: Tensor, other: Tensor, own_weight: Tensor, other_weight: Tensor) -> Tensor:
    """``own_weight * targets + other_weight * other``: scores (N, K) and weights (N,); of the dtype of ``targets``."""
    exact = torch.float64 if targets.dtype == torch.float64 else torch.float32
    own_weight, other_weight = (weight.to(targets.device, exact)[:, None] for weight in (own_weight, other_weight))
    return (own_weight * targets.to(exact) + other_weight * other.to(exact)).to(targets.dtype)


def saliency_weights(maps: Tensor, partner: Tensor, source_boxes: Tensor, target_boxes: Tensor) -> Tensor:
    """The weight of each image's own label by the saliency that remains visible.

    v is the share of an image's saliency that the mixed image shows: of the image itself what lies outside its target
    box, of its partner what lies inside the source box, each divided by the sum of its map. The weights are
    ``v_own / (v_own + v_partner)`` and the rest. A map of zeros counts as constant, so that its shares are those of the
    area; where neither image shows any saliency, the weights are those of the area.

    Args:
        maps: (N, H, W); negative values, those of padding, count as 0.
        partner, source_boxes, target_boxes: see :class:`~smix_mm.mixing.MixPlan`.

    Returns:
        float64 (N,) in [0, 1]; exactly 1 where nothing is pasted, 0 where everything is replaced.
    """
    height, width = maps.shape[1:]
    maps = maps.to(torch.float64).clamp(min=0)
    maps = torch.where(maps.amax((1, 2), keepdim=True) > 0, maps, 1)
    total = maps.sum((1, 2))
    remaining = ~box_mask(target_boxes, height, width)
    own = (maps * remaining).sum((1, 2)) / total
    other = (maps[partner] * box_mask(source_boxes, height, width)).sum((1, 2)) / total[partner]
    area = remaining.to(torch.float64).mean((1, 2))
    return torch.where(own + other > 0, own / (own + other), area)
