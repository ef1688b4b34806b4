"""Every bfloat16 kernel that a plan can use, against float32, on memory that held NaN; on whatever kernels this CPU has."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from voxloom.networks import MixedScaleSettings, NetworkSettings, build_network
from voxloom.networks.convolution import Conv3d, ConvTranspose3d, WindowConv3d, outgrown
from voxloom.networks.slabnet import SlabNet, multi_net
from voxloom.optim.muon import Muon

#: Share of their length by which results may differ: rounding of bfloat16 is 2^-8 of each number.
TOLERANCE = 0.02
BUFFERS = (1000, 4096, 10_000, 30_000, 62_208, 124_416, 200_000, 500_000)


pytestmark = pytest.mark.usefixtures("one_thread")


def poison(value: float) -> None:
    """Leave freed memory behind that holds ``value``."""
    junk = [torch.full((n,), value) for n in BUFFERS]
    del junk


def results(
    layer: Callable[[Tensor], Tensor], weights: list[Tensor], x: Tensor, bf16: bool, filled: float
) -> list[Tensor]:
    """Output, gradient of the input, gradients of the weights, all float32."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    for weight in weights:
        weight.grad = None
    poison(filled)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = layer(x)
    drawn = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
    (out.float() * drawn).sum().backward()
    return [tensor.detach().float().clone() for tensor in (out, x.grad, *(w.grad for w in weights))]


def check(layer: Callable[[Tensor], Tensor], weights: list[Tensor], x: Tensor, tolerance: float = TOLERANCE) -> None:
    """bfloat16 is near float32, and the same bit for bit whatever the memory held."""
    wanted = results(layer, weights, x, False, 0.0)
    found = [results(layer, weights, x, True, filled) for filled in (float("nan"), float("nan"), 3e38, 1.0)]
    for n, expected in enumerate(wanted):
        assert torch.isfinite(found[0][n]).all(), n
        assert all(torch.equal(found[0][n], other[n]) for other in found[1:]), n
        assert n > 1 or _near(found[0][n], expected, tolerance), n
    assert _near(*(torch.cat([g.flatten() for g in given[2:]]) for given in (found[0], wanted)), tolerance)


def _near(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    return bool((found - expected).norm() <= tolerance * expected.norm().clamp(min=1e-3))


#: Layer, its kernel and stride as plans give them.
LAYERS_3D = [
    (WindowConv3d, (3, 3, 3), (1, 1, 1)),
    (WindowConv3d, (3, 3, 3), (2, 2, 2)),
    (WindowConv3d, (3, 3, 3), (1, 2, 2)),
    (WindowConv3d, (1, 3, 3), (1, 2, 2)),
    (WindowConv3d, (3, 3, 1), (1, 1, 1)),
    (WindowConv3d, (1, 1, 1), (1, 1, 1)),
    (Conv3d, (5, 5, 5), (1, 1, 1)),
    (ConvTranspose3d, (2, 2, 2), (2, 2, 2)),
    (ConvTranspose3d, (1, 2, 2), (1, 2, 2)),
    (ConvTranspose3d, (3, 3, 3), (1, 2, 2)),
]
SIZES_3D = [(2, 6, 6), (1, 5, 6), (3, 6, 5), (4, 5, 4), (6, 2, 6), (6, 6, 2), (2, 2, 2)]


@pytest.mark.parametrize("last", [True, False], ids=["channels_last", "contiguous"])
@pytest.mark.parametrize("size", SIZES_3D, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize(("kind", "kernel", "stride"), LAYERS_3D)
def test_layers_in_three_dimensions(
    kind: type[nn.Module], kernel: tuple[int, ...], stride: tuple[int, ...], size: tuple[int, ...], last: bool
) -> None:
    torch.manual_seed(0)
    padding = tuple((k - s + 1) // 2 if kind is not ConvTranspose3d or k == 3 else 0 for k, s in zip(kernel, stride))  # noqa: B905
    layout = torch.channels_last_3d if last else torch.contiguous_format
    for (inside, outside), batch in itertools.product([(16, 32), (17, 8)], [1, 2]):
        if kind is ConvTranspose3d and kernel == (3, 3, 3):
            layer = kind(inside, outside, kernel, stride, padding=1, bias=False)
        else:
            layer = kind(inside, outside, kernel, stride=stride, padding=padding)
        layer = layer.to(memory_format=layout)
        x = torch.randn(batch, inside, *size).contiguous(memory_format=layout)
        check(layer, list(layer.parameters()), x)


def test_layers_without_the_matrix_unit() -> None:
    """The kernels that err are those of AVX-512 without AMX; a CPU with both takes them when oneDNN is told so."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", __file__]
    chosen = ["-k", "three_dimensions and (2x6x6 or 2x2x2 or 4x5x4)"]
    result = subprocess.run(
        [*words, *chosen],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
        cwd=Path(__file__).parents[2],
    )
    assert result.returncode == 0, result.stdout[-3000:]
    assert result.stdout.count(".") >= 60, result.stdout


@pytest.mark.parametrize("last", [True, False], ids=["channels_last", "contiguous"])
@pytest.mark.parametrize("size", [(2, 6), (6, 2), (1, 4), (2, 2), (7, 6)], ids=str)
def test_layers_in_two_dimensions(size: tuple[int, int], last: bool) -> None:
    torch.manual_seed(0)
    layout = torch.channels_last if last else torch.contiguous_format
    layers = [
        nn.Conv2d(16, 32, 3, padding=1),
        nn.Conv2d(17, 16, 3, stride=2, padding=1),
        nn.Conv2d(16, 8, 1),
        nn.ConvTranspose2d(16, 8, 2, stride=2),
    ]
    for layer, batch in itertools.product(layers, [1, 3]):
        layer = layer.to(memory_format=layout)
        x = torch.randn(batch, layer.in_channels, *size).contiguous(memory_format=layout)
        check(layer, list(layer.parameters()), x)


@pytest.mark.parametrize("form", ["original", "normalized"])
def test_dense_layers_are_products_of_matrices_that_read_no_old_memory(form: str) -> None:
    settings = MixedScaleSettings(kind="msd", in_channels=1, out_channels=2, dims=3, form=form, depth=6, dilations=2)
    network = build_network(settings, seed=0)
    x = torch.randn(2, 1, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    check(
        network, list(network.parameters()), x, tolerance=0.2
    )  # rounding moves values across the zero of an activation


class Types(TorchDispatchMode):
    """Types that convolutions compute in, by the size of their input's first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, torch.dtype]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "aten.convolution.default" in str(func):
            self.found.append((args[0].shape[2], args[0].dtype))
        return func(*args, **(kwargs or {}))


def test_only_layers_whose_kernel_outgrows_the_map_leave_bfloat16() -> None:
    settings = NetworkSettings(
        dims=3, in_channels=1, out_channels=2, features=(4, 6, 8), strides=[[1, 1, 1], [2, 1, 1], [2, 2, 2]],
        kernels=[[3, 3, 3]] * 3,
    )  # fmt: skip
    network = build_network(settings, seed=0)
    with torch.autocast("cpu", torch.bfloat16), Types() as seen:
        out = network(torch.randn(1, 1, 8, 8, 8))
    assert (2, torch.float32) in seen.found  # the second convolution of the bottom
    assert {kind for size, kind in seen.found if size > 2} == {torch.bfloat16}
    assert out.dtype is torch.bfloat16
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), Types() as applied:
        network(torch.randn(1, 1, 8, 8, 8))
    assert {kind for _, kind in applied.found} == {torch.bfloat16}  # no gradient, nothing to go around


def test_no_network_has_a_convolution_that_passes_the_guard_by() -> None:
    slab = SlabNet(multi_net(levels=2, channels=2))
    settings = NetworkSettings(
        kind="resunet", dims=3, in_channels=1, out_channels=2, features=(4, 6, 8), strides=[[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        kernels=[[3, 3, 3]] * 3,
    )  # fmt: skip
    for network in (slab, build_network(settings, seed=0)):
        assert [m for m in network.modules() if type(m) in (nn.Conv3d, nn.ConvTranspose3d)] == []


def test_what_outgrows() -> None:
    one, three = (1, 1, 1), (3, 3, 3)
    assert outgrown((2, 9, 9), three, one, one)
    assert outgrown((9, 9, 2), three, one, one)
    assert not outgrown((3, 9, 9), three, one, one)
    assert not outgrown((2, 9, 9), (1, 3, 3), one, (0, 1, 1))
    assert not outgrown((2, 9, 9), (2, 2, 2), one, (0, 0, 0))
    assert outgrown((4, 9, 9), three, (2, 1, 1), one)
    assert outgrown((2, 9, 9), three, one, "same")


def test_orthogonal_steps_are_the_same_within_autocast_and_on_old_memory() -> None:
    moved = []
    for inside, filled in itertools.product([False, True], [float("nan"), 1.0]):
        weight = nn.Parameter(torch.linspace(-1, 1, 32 * 54).sin().view(32, 2, 3, 3, 3))
        weight.grad = torch.linspace(0, 9, weight.numel()).cos().view_as(weight)
        poison(filled)
        with torch.autocast("cpu", torch.bfloat16, enabled=inside):
            Muon([weight], lr=0.1).step()
        moved.append(weight.detach().clone())
    assert torch.isfinite(moved[0]).all()
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[0], moved[2])
    assert torch.equal(moved[0], moved[3])
