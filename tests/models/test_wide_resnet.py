"""WideResNet-28-10: its size, its order of layers, its beginning, and what may be frozen."""

import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from smix_mm.models import WideResNet


def small(**options) -> WideResNet:
    torch.manual_seed(0)
    return WideResNet(depth=16, widen_factor=2, **options)


def test_wrn_28_10_has_36_5_million_parameters_with_its_head(read_config_of):
    model = MODELS.build(read_config_of("configs/cifar10/wrn-28-10_baseline_cifar10.py").model)
    assert sum(parameter.numel() for parameter in model.parameters()) == 36_479_194
    assert len([module for module in model.backbone.modules() if isinstance(module, nn.Conv2d)]) == 25 + 3
    dropouts = [module.p for module in model.backbone.modules() if isinstance(module, nn.Dropout)]
    assert dropouts == [0.3] * 12


@pytest.fixture
def read_config_of():
    from pathlib import Path

    from smix_mm.utils.config import read_config

    return lambda config: read_config(Path(__file__).parents[2] / config)


def test_a_block_is_norm_relu_convolution_twice_added_to_its_input():
    block = small(dropout=0.5).layer1[1].eval()
    x = torch.randn(2, 32, 8, 8)
    for norm in (block.norm1, block.norm2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    inner = block.conv1(torch.relu(block.norm1(x)))
    assert torch.equal(block(x), x + block.conv2(torch.relu(block.norm2(inner))))


def test_where_channels_change_the_shortcut_convolves_the_activated_input():
    block = small().layer2[0].eval()
    x = torch.randn(2, 32, 8, 8)
    block.norm1.running_mean.normal_()
    active = torch.relu(block.norm1(x))
    expected = block.shortcut(active) + block.conv2(torch.relu(block.norm2(block.conv1(active))))
    assert torch.equal(block(x), expected) and block(x).shape == (2, 64, 4, 4)


def test_dropout_acts_between_the_convolutions_in_training_alone():
    net, x = small(dropout=0.9), torch.randn(2, 3, 16, 16)
    block, seen = net.layer1[0], []
    block.conv2.register_forward_pre_hook(lambda module, inputs: seen.append((inputs[0] == 0).float().mean().item()))
    net.train()(x)
    net.eval()(x)
    assert seen[0] > 0.9 and seen[1] < 0.6
    assert torch.equal(net(x)[0], net(x)[0])


def test_the_chosen_stages_are_returned_the_last_one_activated():
    x = torch.randn(2, 3, 32, 32)
    outputs = small(out_indices=(0, 1, 2)).eval()(x)
    assert [tuple(out.shape) for out in outputs] == [(2, 32, 32, 32), (2, 64, 16, 16), (2, 128, 8, 8)]
    assert outputs[0].min() < 0 and outputs[2].min() == 0
    assert torch.equal(small().eval()(x)[0], outputs[2])


def test_weights_begin_as_in_the_papers_code():
    net = WideResNet(depth=16, widen_factor=4)
    torch.manual_seed(0)
    net.init_weights()
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            spread = module.weight.std().item() / (2 / fan_out) ** 0.5
            assert abs(spread - 1) < 4 / module.weight.numel() ** 0.5, name
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight)) and not module.bias.any()


@pytest.mark.parametrize("frozen", [-1, 0, 2, 3])
def test_frozen_stages_neither_learn_nor_update_statistics(frozen):
    net = small(frozen_stages=frozen).train()
    modules = dict(conv1=0, layer1=1, layer2=2, layer3=3, norm=3)
    for name, stage in modules.items():
        module = getattr(net, name)
        learns = stage > frozen
        assert module.training == learns
        assert all(parameter.requires_grad == learns for parameter in module.parameters())
    before = net.layer1[0].norm1.running_mean.clone()
    net(torch.randn(2, 3, 16, 16))
    assert torch.equal(before, net.layer1[0].norm1.running_mean) == (frozen >= 1)


def test_norm_eval_keeps_the_statistics_and_trains_the_weights():
    net = small(norm_eval=True).train()
    before = net.norm.running_mean.clone()
    net(torch.randn(2, 3, 16, 16))[0].sum().backward()
    assert torch.equal(before, net.norm.running_mean) and net.norm.weight.grad is not None and net.training


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(depth=27), "depth should be 6 n \\+ 4, such as 28, got 27"),
        (dict(depth=4), "depth should be .* got 4"),
        (dict(out_indices=(3,)), "out_indices should be one or more of 0, 1 and 2, got \\(3,\\)"),
        (dict(out_indices=()), "out_indices should be .* got \\(\\)"),
        (dict(frozen_stages=4), "frozen_stages should be from -1 to 3, got 4"),
    ],
)
def test_a_wrong_argument_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        WideResNet(**dict(depth=16, widen_factor=1) | options)
