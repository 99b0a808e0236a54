"""torchvision's operators in mmcv's place, called through mmcv's own Python code.

The compiled operators, where there are any, are held to the same records; see tests/data/mmcv_operators/make.py.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from smix_mm.utils import mmcv_operators, torchvision_operators
from smix_mm.utils.errors import MissingOperatorError

ops = pytest.importorskip("mmcv.ops")

RECORDED = Path(__file__).parents[1] / "data" / "mmcv_operators"
CASES = [(path.stem, case) for path in sorted(RECORDED.glob("*.pt")) for case in torch.load(path, weights_only=True)]
run = runpy.run_path(str(RECORDED / "make.py"))["run"]


def use_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("mmcv.ops.") and hasattr(module, "ext_module"):
            monkeypatch.setattr(module, "ext_module", torchvision_operators)


@pytest.fixture
def torchvision_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    use_torchvision(monkeypatch)


@pytest.fixture(params=["compiled", "torchvision"])
def operators(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "torchvision":
        use_torchvision(monkeypatch)
    elif sys.modules[mmcv_operators.NAME] is torchvision_operators:
        pytest.skip("mmcv's operators are not compiled")


def test_what_is_recorded_covers_what_mmcv_has_on_a_cpu() -> None:
    assert {name for name, _ in CASES} == {
        "nms",
        "soft_nms",
        "roi_align",
        "deform_conv2d",
        "modulated_deform_conv2d",
    }
    assert sum(path.stat().st_size for path in RECORDED.iterdir()) < 120_000


@pytest.mark.parametrize("name, case", CASES, ids=[f"{name}: {case['name']}" for name, case in CASES])
def test_outputs_and_gradients_are_those_of_mmcvs_compiled_operators(
    name: str, case: dict[str, Any], operators: None
) -> None:
    if "order" in case and not torch.equal(case["inputs"][1].sort(0, descending=True)[1], case["order"]):
        pytest.skip("this CPU sorts equal scores in another order than that of the record, for mmcv's operator too")
    found = run(name, case["inputs"], case["options"])
    for kind in ("outputs", "gradients"):
        torch.testing.assert_close(found[kind], case[kind], rtol=1e-5, atol=1e-5)


def test_nms_takes_equal_scores_in_the_order_that_torch_sorts_them(operators: None) -> None:
    random = torch.Generator().manual_seed(1)
    corners = torch.randint(0, 6, (300, 2), generator=random) * 10.0
    boxes = torch.cat([corners, corners + torch.randint(1, 4, (300, 2), generator=random) * 10], 1)
    scores = torch.randint(0, 5, (300,), generator=random) / 4
    expected: list[int] = []
    for place in scores.sort(0, descending=True)[1].tolist():
        if all(overlap(boxes[place].tolist(), boxes[kept].tolist()) <= 0.4 for kept in expected):
            expected.append(place)
    assert len(expected) > 20
    assert ops.nms(boxes, scores, iou_threshold=0.4)[1].tolist() == expected


def overlap(one: list[float], two: list[float]) -> float:
    width = max(0, min(one[2], two[2]) - max(one[0], two[0]))
    height = max(0, min(one[3], two[3]) - max(one[1], two[1]))
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (one, two)]
    return width * height / (sum(areas) - width * height)


def test_boxes_without_area_get_no_nan_from_gaussian_soft_nms(torchvision_in_place: None) -> None:
    boxes = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 4, 4]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    lowered, kept = ops.soft_nms(boxes, scores, method="gaussian")
    assert kept.tolist() == [0, 1, 2]
    assert torch.equal(lowered[:, 4], scores)


ROIS = torch.tensor(
    [
        [0, 0, 0, 7, 6],
        [1, 1.3, 2.6, 5.2, 5.9],
        [1, -3, -2.5, 20, 9.5],
        [0, 12, 12, 14, 15],  # outside
        [0, 2.4, 2.4, 2.4, 2.4],
        [1, 5, 5, 3, 2],  # no box at all
    ]
)


def pool(image: Tensor, roi: list[float], size: tuple[int, int], scale: float) -> Tensor:
    """One RoI by mmcv's definition: the maximum of each bin; the box is not rounded before it is cut into bins."""
    (x1, y1), (x2, y2) = (corner * scale for corner in roi[:2]), ((corner + 1) * scale for corner in roi[2:])
    pooled = torch.zeros(len(image), *size)
    for row in range(size[0]):
        for column in range(size[1]):
            top, bottom = (y1 + (y2 - y1) * (row + step) / size[0] for step in (0, 1))
            left, right = (x1 + (x2 - x1) * (column + step) / size[1] for step in (0, 1))
            rows = slice(max(0, int(np.floor(top))), max(0, int(np.ceil(bottom))))
            columns = slice(max(0, int(np.floor(left))), max(0, int(np.ceil(right))))
            part = image[:, rows, columns].flatten(1)
            if part.numel() and x2 > x1 and y2 > y1:
                pooled[:, row, column] = part.max(1)[0]
    return pooled


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_roi_pool_is_the_maximum_of_mmcvs_bins(scale: float, torchvision_in_place: None) -> None:
    features = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = ops.roi_pool(features, ROIS, (3, 2), scale)
    reference = features.detach().clone().requires_grad_()
    expected = torch.stack([pool(reference[int(roi[0])], roi[1:], (3, 2), scale) for roi in ROIS.tolist()])
    assert torch.equal(found, expected)
    assert found[0].min() > 0 and not found[5].any()
    weights = torch.linspace(-1, 2, found.numel()).view_as(found)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(features.grad, reference.grad)


def test_roi_pool_gives_the_gradient_to_the_first_of_equal_pixels_row_by_row(torchvision_in_place: None) -> None:
    features = torch.zeros(1, 1, 4, 4)
    features[0, 0, [1, 2], [2, 0]] = 1
    features.requires_grad_()
    ops.roi_pool(features, torch.tensor([[0.0, 0, 0, 3, 3]]), 1, 1.0).sum().backward()
    assert features.grad.nonzero().tolist() == [[0, 0, 1, 2]]


def test_no_rois_give_no_features(torchvision_in_place: None) -> None:
    features = torch.rand(1, 2, 4, 4, requires_grad=True)
    found = ops.roi_pool(features, torch.zeros(0, 5), 2, 1.0)
    assert found.shape == (0, 2, 2, 2)
    found.sum().backward()
    assert not features.grad.any()


def focal_loss(kind: str, logits: Tensor, target: Tensor, gamma: float, alpha: float, weight: Tensor | None) -> Tensor:
    """By the formula of Lin et al. (2017), equation 5, for each class or for the true one."""
    if kind == "sigmoid":
        hit = torch.nn.functional.one_hot(target, logits.shape[1] + 1)[:, :-1].bool()
        p = torch.where(hit, logits, -logits).sigmoid()
        loss = -torch.where(hit, alpha, 1 - alpha) * (1 - p) ** gamma * p.log()
        return loss if weight is None else loss * weight[target][:, None]
    p = logits.softmax(1).gather(1, target.clamp(min=0)[:, None])[:, 0]
    loss = -alpha * (1 - p) ** gamma * p.log()
    return (loss if weight is None else loss * weight[target]) * (target >= 0)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_focal_losses_and_their_gradients_follow_the_formula(
    kind: str, weighted: bool, reduction: str, torchvision_in_place: None
) -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 4, generator=random, dtype=torch.float64) * 3
    target = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    if not weighted:
        target[5:] = 4 if kind == "sigmoid" else -1  # background, or to be ignored
    weight = torch.tensor([0.5, 1, 2, 3], dtype=torch.float64) if weighted else None
    mine, reference = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found = getattr(ops, f"{kind}_focal_loss")(mine, target, 1.5, 0.3, weight, reduction)
    expected = focal_loss(kind, reference, target, 1.5, 0.3, weight)
    if reduction != "none":
        expected = expected.sum() / (7 if reduction == "mean" else 1)
    torch.testing.assert_close(found, expected)
    if (kind, reduction) != ("softmax", "none"):  # whose gradient mmcv's Python code multiplies in the wrong shape
        found.sum().backward()
        expected.sum().backward()
        torch.testing.assert_close(mine.grad, reference.grad)


def test_the_focal_loss_that_mmdetection_calls_on_a_gpu_is_its_own_of_the_cpu(torchvision_in_place: None) -> None:
    losses = pytest.importorskip("mmdet.models.losses.focal_loss")
    random = torch.Generator().manual_seed(0)
    logits, weight = torch.randn(9, 4, generator=random), torch.rand(9, generator=random)
    target = torch.arange(9) % 5  # 4 is background
    hits = torch.nn.functional.one_hot(target, 5)[:, :4]
    mine, reference = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found = losses.sigmoid_focal_loss(mine, target, weight, avg_factor=3)
    expected = losses.py_sigmoid_focal_loss(reference, hits, weight, avg_factor=3)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, reference.grad)


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_focal_losses_stay_finite_where_probabilities_are_0_and_1(kind: str, torchvision_in_place: None) -> None:
    logits = torch.tensor([[300.0, -300], [-300, 300]], requires_grad=True)
    loss = getattr(ops, f"{kind}_focal_loss")(logits, torch.tensor([0, 0]), 2.0, 0.25, None, "sum")
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_an_operator_that_is_missing_raises_only_when_it_is_called_and_says_what_to_do(
    torchvision_in_place: None,
) -> None:
    boxes = torch.rand(2, 5)
    with pytest.raises(MissingOperatorError, match="operator box_iou_rotated .*make setup MMCV_OPS=1"):
        ops.box_iou_rotated(boxes, boxes)
    with pytest.raises(MissingOperatorError, match="pool_mode='max'"):
        ops.roi_align(torch.rand(1, 1, 4, 4), torch.zeros(1, 5), 2, 1.0, 0, "max", True)


def test_there_is_every_name_but_dunders() -> None:
    assert callable(torchvision_operators.anything_at_all)
    assert not hasattr(torchvision_operators, "__wrapped__")


GPU_CASES = [(name, case) for name, case in CASES if name != "soft_nms"]  # which mmcv moves to the CPU


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name, case", GPU_CASES, ids=[f"{name}: {case['name']}" for name, case in GPU_CASES])
def test_the_gpu_computes_what_the_cpu_does(
    name: str, case: dict[str, Any], dtype: torch.dtype, torchvision_in_place: None
) -> None:
    half = dtype == torch.float16
    scores = case["inputs"][1]
    if name == "nms" and (half or scores.unique().numel() < scores.numel()):
        pytest.skip("mmcv suppresses in float32, and a GPU sorts equal scores in an order of its own")
    expected = run(name, [one.half().float() for one in case["inputs"]], case["options"]) if half else case
    found = run(name, [one.to("cuda", dtype) for one in case["inputs"]], case["options"])
    if half and "deform" in name:
        # The gradient of an offset jumps where a point crosses a pixel's centre, which rounding may let it do.
        found["gradients"][1] = expected["gradients"][1]
    for kind in ("outputs", "gradients"):
        on_cpu = [one.cpu().to(like.dtype) for one, like in zip(found[kind], expected[kind])]
        torch.testing.assert_close(on_cpu, expected[kind], rtol=0.02 if half else 1e-4, atol=0.05 if half else 1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_pooling_and_focal_losses_never_wait_for_the_gpu_and_agree_with_the_cpu(
    dtype: torch.dtype, torchvision_in_place: None
) -> None:
    random = torch.Generator().manual_seed(0)
    features, logits = torch.rand(2, 3, 8, 9, generator=random), torch.randn(7, 4, generator=random)
    target = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    calls = [
        (lambda one, *others: ops.roi_align(one, *others, (3, 2), 0.5), [features, ROIS]),
        (lambda one, *others: ops.roi_pool(one, *others, (3, 2), 0.5), [features, ROIS]),
        (lambda one, *others: ops.sigmoid_focal_loss(one, *others, 2.0, 0.25, None, "sum"), [logits, target]),
        (lambda one, *others: ops.softmax_focal_loss(one, *others, 2.0, 0.25, None, "sum"), [logits, target]),
    ]
    for call, inputs in calls:
        on_cpu = [one.to(dtype).float() if one.is_floating_point() else one for one in inputs]
        on_gpu = [one.to("cuda", dtype) if one.is_floating_point() else one.cuda() for one in inputs]
        for leaf in (on_cpu[0], on_gpu[0]):
            leaf.requires_grad_()
        expected = call(*on_cpu)
        torch.cuda.set_sync_debug_mode("error")
        try:
            found = call(*on_gpu)
            found.sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        expected.sum().backward()
        tolerance = dict(rtol=1e-4, atol=1e-4) if dtype == torch.float32 else dict(rtol=0.02, atol=0.05)
        torch.testing.assert_close(found.cpu().float(), expected, **tolerance)
        torch.testing.assert_close(on_gpu[0].grad.cpu().float(), on_cpu[0].grad, **tolerance)
