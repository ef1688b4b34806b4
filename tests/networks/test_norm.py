"""FastInstanceNorm against PyTorch's own instance norm."""

import pytest
import torch
from torch import Tensor, nn

from voxloom.networks import FastInstanceNorm
from voxloom.networks.norm import channels_last_of

SHAPES = [(2, 4, 6, 5, 7), (1, 3, 4, 4, 4), (3, 5, 8, 6)]


def pair(shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    """The fast norm and its judge, with the same random parameters."""
    fast = FastInstanceNorm(shape[1])
    judge = (nn.InstanceNorm3d if len(shape) == 5 else nn.InstanceNorm2d)(shape[1], affine=True)
    nn.init.normal_(fast.weight)
    nn.init.normal_(fast.bias)
    judge.load_state_dict(fast.state_dict())
    return fast, judge


def results(norm: nn.Module, x: Tensor, upstream: Tensor) -> list[Tensor]:
    """Output and gradients of input, weight and bias."""
    x = x.detach().requires_grad_()
    y = norm(x)
    return [y.detach(), *torch.autograd.grad(y, [x, *norm.parameters()], upstream)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels_last", [True, False])
def test_output_and_gradients_are_those_of_instance_norm(shape: tuple[int, ...], channels_last: bool) -> None:
    fast, judge = pair(shape)
    x, upstream = torch.randn(shape) * 3 + 2, torch.randn(shape)
    laid = x.contiguous(memory_format=channels_last_of(x)) if channels_last else x
    for ours, theirs in zip(results(fast, laid, upstream), results(judge, x, upstream), strict=True):
        assert torch.allclose(ours, theirs, atol=2e-5, rtol=1e-4)


def test_bfloat16_is_as_near_to_float32_as_its_digits_allow() -> None:
    shape = SHAPES[0]
    fast, judge = pair(shape)
    x = (torch.randn(shape) * 3 + 2).bfloat16()
    upstream = torch.randn(shape).bfloat16()
    laid = x.contiguous(memory_format=torch.channels_last_3d)
    ours, theirs = results(fast, laid, upstream), results(judge, x.float(), upstream.float())
    assert ours[0].dtype is torch.bfloat16
    assert ours[2].dtype is torch.float32
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.float(), b, atol=0.05, rtol=0.05)


def test_the_layout_is_kept() -> None:
    x = torch.randn(2, 4, 6, 5, 7).contiguous(memory_format=torch.channels_last_3d)
    assert FastInstanceNorm(4)(x).is_contiguous(memory_format=torch.channels_last_3d)


def test_a_constant_patch_becomes_the_bias() -> None:
    fast, _ = pair(SHAPES[0])
    x = torch.full(SHAPES[0], 3.0).contiguous(memory_format=torch.channels_last_3d)
    assert torch.allclose(fast(x), fast.bias.view(1, -1, 1, 1, 1).expand_as(x), atol=1e-4)


def test_double_precision_takes_pytorchs_way() -> None:
    fast, judge = pair(SHAPES[0])
    x = torch.randn(SHAPES[0], dtype=torch.float64).contiguous(memory_format=torch.channels_last_3d)
    assert torch.allclose(fast.double()(x), judge.double()(x))


def test_it_can_be_exported() -> None:
    fast, judge = pair(SHAPES[0])
    x = torch.randn(SHAPES[0]).contiguous(memory_format=torch.channels_last_3d)
    exported = torch.export.export(fast.eval(), (x,)).module()
    assert torch.allclose(exported(x), judge(x), atol=1e-5)
