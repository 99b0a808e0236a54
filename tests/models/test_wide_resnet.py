"""WideResNet-28-10: its size, its order of layers and its beginning."""

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


def test_the_activated_output_of_the_last_stage_is_returned():
    (output,) = small().eval()(torch.randn(2, 3, 32, 32))
    assert output.shape == (2, 128, 8, 8) and output.min() == 0


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


@pytest.mark.parametrize("depth", [27, 4])
def test_a_wrong_depth_is_refused(depth):
    with pytest.raises(ValueError, match=f"depth should be 6 n \\+ 4, such as 28, got {depth}"):
        WideResNet(depth=depth, widen_factor=1)
