"""The mixed-scale dense network: the same as the plain chain of concatenations, in memory linear in its depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from voxloom.networks import MixedScaleSettings, build_network
from voxloom.networks.dense_stack import SLOPE, DenseLayer, dense_stack
from voxloom.networks.msd import MixedScaleDense
from voxloom.networks.taps import reflected


def settings(dims: int, form: str, depth: int = 12, width: int = 1) -> MixedScaleSettings:
    return MixedScaleSettings(
        kind="msd", in_channels=2, out_channels=3, dims=dims, form=form, depth=depth, width=width, dilations=4
    )


def chain(x: Tensor, layers: list[DenseLayer], normalized: bool, parameters: list[Tensor]) -> Tensor:
    """The definition: every layer convolves the concatenation of all before, with PyTorch's own differentiation."""
    convolve = functional.conv2d if x.ndim == 4 else functional.conv3d
    per_layer = 3 if normalized else 2
    channels = [x[:, n : n + 1] for n in range(x.shape[1])]
    for n, layer in enumerate(layers):
        kernel, *rest = parameters[n * per_layer : (n + 1) * per_layer]
        seen = torch.cat(channels[: layer.inputs], dim=1)
        if normalized:
            found = convolve(seen, kernel, padding=layer.dilation, dilation=layer.dilation)
            found = functional.instance_norm(found, weight=rest[0], bias=rest[1])
            channels.append(functional.leaky_relu(found, SLOPE))
        else:
            padded = functional.pad(seen, [layer.dilation] * 2 * (x.ndim - 2), mode="reflect")
            channels.append(functional.relu(convolve(padded, kernel, rest[0], dilation=layer.dilation)))
    return torch.cat(channels, dim=1)


@pytest.mark.parametrize("form", ["original", "normalized"])
@pytest.mark.parametrize(("dims", "width"), [(2, 1), (2, 3), (3, 2)])
def test_values_and_gradients_are_those_of_the_plain_chain(form: str, dims: int, width: int) -> None:
    torch.manual_seed(0)
    network = build_network(settings(dims, form, depth=14, width=width), seed=0).double()
    assert isinstance(network, MixedScaleDense)
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    size = (9, 7) if dims == 2 else (6, 5, 7)
    results = []
    for function in (dense_stack, chain):
        x = torch.randn(2, 2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        out = function(x, network.layers, network.normalized, list(network.dense))
        network.zero_grad()
        (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        results.append([out.detach(), x.grad, *(weight.grad.clone() for weight in network.dense)])
    for found, expected in zip(*results, strict=True):
        assert torch.allclose(found, expected, rtol=1e-6, atol=1e-8)


def saved_bytes(network: torch.nn.Module, image: Tensor) -> int:
    """Bytes that differentiation keeps between the passes, weights left out; tensors that share memory count once."""
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(image)
    return sum(kept.values())


@pytest.mark.parametrize("form", ["original", "normalized"])
@pytest.mark.parametrize("dims", [2, 3])
def test_memory_is_linear_in_depth(form: str, dims: int) -> None:
    image = torch.randn(1, 2, *([16] * dims))
    shallow, deep = (saved_bytes(build_network(settings(dims, form, d), seed=0), image) for d in (20, 80))
    plain = image[0, 0].numel() * 4
    copies = 1 if form == "original" else 2  # normalized keeps the results before the norm too
    assert copies * 80 * plain <= deep <= (copies * 80 + 6) * plain
    assert deep < 4.2 * shallow


def test_the_plain_chain_would_need_memory_that_grows_with_the_square() -> None:
    network = build_network(settings(2, "normalized", 80), seed=0)
    image = torch.randn(1, 2, 16, 16)
    assert isinstance(network, MixedScaleDense)

    class Plain(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return chain(x, network.layers, True, list(network.dense))

    assert saved_bytes(Plain(), image) > 10 * saved_bytes(network, image)


def test_dilations_cycle_and_every_channel_is_seen_by_all_later_layers() -> None:
    network = build_network(settings(2, "normalized", depth=6, width=2), seed=0)
    assert isinstance(network, MixedScaleDense)
    assert [layer.dilation for layer in network.layers] == [1, 2, 3, 4] * 3
    assert [layer.inputs for layer in network.layers] == [2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12]
    assert [layer.output for layer in network.layers] == list(range(2, 14))


@pytest.mark.parametrize(("size", "width"), [(6, 3), (4, 9), (2, 5), (1, 3)])
def test_reflection_reaches_beyond_a_short_axis(size: int, width: int) -> None:
    x = torch.arange(size, dtype=torch.float32)[None, None, None, :].expand(1, 1, 3, size)
    judge = np.pad(np.arange(size, dtype=float), width, mode="reflect" if size > 1 else "edge")
    assert reflected(x, width)[0, 0, 0].tolist() == judge.tolist()


def test_bfloat16_keeps_bfloat16_and_gives_float32_gradients() -> None:
    network = build_network(settings(2, "normalized"), seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(torch.randn(1, 2, 12, 12))
    assert out.dtype is torch.bfloat16
    out.float().square().mean().backward()
    assert all(weight.grad.dtype is torch.float32 and weight.grad.isfinite().all() for weight in network.parameters())
