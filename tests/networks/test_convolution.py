"""The convolution for single windows: PyTorch's result, by oneDNN where PyTorch would not take it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from voxloom.networks import NetworkSettings, build_network
from voxloom.networks.convolution import WindowConv3d


class Operators(TorchDispatchMode):
    """Names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func))
        return func(*args, **(kwargs or {}))


def operators(layer: nn.Module, x: Tensor) -> set[str]:
    """What runs without gradients."""
    with torch.no_grad(), Operators() as seen:
        layer(x)
    return seen.names


@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 1)])
@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 3, 1), (3, 3, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_result_is_pytorchs(stride: tuple[int, int, int], kernel: tuple[int, int, int], bias: bool) -> None:
    torch.manual_seed(0)
    padding = tuple((k - s + 1) // 2 for k, s in zip(kernel, stride, strict=True))
    ours = WindowConv3d(4, 6, kernel, stride=stride, padding=padding, bias=bias)
    theirs = nn.Conv3d(4, 6, kernel, stride=stride, padding=padding, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 4, 9, 8, 6)
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        window = x.contiguous(memory_format=layout)
        with torch.no_grad():
            torch.testing.assert_close(ours(window), theirs(window), atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN to take")
def test_a_single_window_takes_onednn_and_only_without_gradients() -> None:
    layer = WindowConv3d(2, 3, 3, padding=1)
    one, two = torch.randn(1, 2, 8, 8, 8), torch.randn(2, 2, 8, 8, 8)
    assert "aten.mkldnn_convolution.default" in operators(layer, one)
    assert "aten.convolution.default" in operators(layer, two)
    with Operators() as seen:
        layer(one).sum().backward()
    assert "aten.convolution.default" in seen.names
    assert layer.weight.grad is not None


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN to take")
def test_every_convolution_of_a_network_takes_it() -> None:
    settings = NetworkSettings(
        dims=3, in_channels=1, out_channels=2, features=(4, 6, 8), strides=[[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        kernels=[[3, 3, 3]] * 3,
    )  # fmt: skip
    network = build_network(settings, seed=0).eval()
    x = torch.randn(1, 1, 8, 8, 8)
    plain = [n for n, m in network.named_modules() if type(m) is nn.Conv3d]
    assert plain == []
    assert "aten.mkldnn_convolution.default" in operators(network, x)
