"""The contract that every network keeps: shapes, gradients, determinism, layout, export to MONAI."""

import itertools
from typing import Any

import pytest
import torch
from monai.networks.nets import DynUNet
from monai.networks.utils import pixelshuffle
from pydantic import ValidationError
from torch import Tensor, nn

from voxloom.networks import FastInstanceNorm, NetworkSettings, build_network, count_parameters, monai_config, to_monai
from voxloom.networks.unet import unpack_cells

VARIANTS = [
    {"kind": kind, "dims": dims, "norm": norm, "deep_supervision": heads}
    for kind, dims, norm, heads in itertools.product(["unet", "resunet"], [2, 3], ["instance", "batch"], [1, 3])
]
VARIANTS += [
    {"kind": kind, "dims": dims, "deep_supervision": heads, "cell": 2}
    for kind, dims, heads in [("unet", 2, 1), ("unet", 3, 3), ("resunet", 3, 3)]
]
each_network = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v.values())))


def settings(**variant: Any) -> NetworkSettings:
    """Four levels, the last axis halved once less and with kernel 1 at the top."""
    variant = {"kind": "unet", "dims": 3, **variant}
    last, cell = variant["dims"] - 1, variant.pop("cell", 1)
    ones, twos, threes = ([n] * variant["dims"] for n in (1, 2, 3))
    thick, thin = [*twos[:last], 1], [*threes[:last], 1]
    return NetworkSettings(
        in_channels=2, out_channels=3, features=(4, 6, 8, 10), strides=[[cell] * len(ones), thick, ones if cell > 1 else twos, twos],
        kernels=[thin, threes, threes, threes], **variant,
    )  # fmt: skip


def patch(s: NetworkSettings, count: int = 2) -> Tensor:
    size = [16, 24, 8] if s.dims == 3 else [16, 8]
    return torch.randn(count, s.in_channels, *size, generator=torch.Generator().manual_seed(0))


@each_network
def test_shapes_in_evaluation_and_training(variant: dict[str, Any]) -> None:
    s = settings(**variant)
    network, x = build_network(s), patch(s)
    assert network.eval()(x).shape == (2, 3, *x.shape[2:])
    outputs = network.train()(x)
    if s.deep_supervision == 1:
        assert outputs.shape == (2, 3, *x.shape[2:])
        return
    size, expected = x.shape[2:], []
    for stride in [[1] * s.dims, *s.strides[1 : s.deep_supervision]]:
        size = [n // k for n, k in zip(size, stride, strict=True)]
        expected.append((2, 3, *size))
    assert [tuple(o.shape) for o in outputs] == expected


@each_network
def test_every_weight_gets_a_finite_gradient(variant: dict[str, Any]) -> None:
    s = settings(**variant)
    network = build_network(s).train()
    outputs = network(patch(s))
    heads = outputs if isinstance(outputs, list) else [outputs]
    torch.stack([head.square().mean() for head in heads]).sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, f"{name} is not used"
        assert weight.grad.isfinite().all()


@each_network
def test_the_same_seed_gives_the_same_network(variant: dict[str, Any]) -> None:
    s = settings(**variant)
    before = torch.get_rng_state()
    first, again, other = (build_network(s, seed=n) for n in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    x = patch(s)
    assert torch.equal(first.eval()(x), again.eval()(x))


@each_network
def test_channels_last_gives_the_same_answer(variant: dict[str, Any]) -> None:
    s = settings(**variant)
    network, x = build_network(s).eval(), patch(s)
    expected = network(x)
    layout = torch.channels_last_3d if s.dims == 3 else torch.channels_last
    laid = network.to(memory_format=layout)(x.contiguous(memory_format=layout))
    assert torch.allclose(laid, expected, atol=1e-4)


@each_network
def test_monai_runs_the_same_network(variant: dict[str, Any]) -> None:
    s = settings(**variant)
    network, x = build_network(s), patch(s)
    if s.norm == "batch":
        network.train()(x)  # running statistics that differ from their start
    twin = to_monai(network.eval())
    assert type(twin) is DynUNet
    assert not twin.training
    assert torch.allclose(unpack_cells(twin(x), s.strides[0]), network(x), atol=1e-4)
    loaded = DynUNet(**monai_config(s))
    loaded.load_state_dict(twin.state_dict(), strict=True)
    assert torch.equal(loaded.eval()(x), twin(x))


@each_network
def test_weights_load_into_a_new_network(variant: dict[str, Any]) -> None:
    s = settings(**variant)
    network, other = build_network(s, seed=1), build_network(s, seed=2)
    other.load_state_dict(network.state_dict())
    x = patch(s)
    assert torch.equal(other.eval()(x), network.eval()(x))


def test_a_patch_does_not_depend_on_its_batch() -> None:
    s = settings()
    network, x = build_network(s, seed=0).eval(), patch(s, 3)
    assert torch.allclose(network(x)[1:2], network(x[1:2]), atol=1e-4)


def test_initial_weights_are_he_normal() -> None:
    conv = build_network(settings(), seed=0).net.bottleneck.conv1.conv
    expected = (2 / (1 + 0.01**2) / (8 * 27)) ** 0.5
    assert float(conv.weight.detach().std()) == pytest.approx(expected, rel=0.1)


def test_instance_norms_are_the_fast_ones() -> None:
    network = build_network(settings())
    assert not any(isinstance(m, nn.InstanceNorm3d) for m in network.modules())
    assert any(isinstance(m, FastInstanceNorm) for m in network.modules())


def test_dropout_silences_features_in_training_but_never_logits() -> None:
    s = settings(dropout=0.5, deep_supervision=3)
    network, x = build_network(s).train(), patch(s)
    assert not torch.equal(network(x)[0], network(x)[0])
    assert all((head != 0).all() for head in network(x))
    assert torch.equal(network.eval()(x), network(x))
    assert torch.allclose(to_monai(network)(x), network(x), atol=1e-4)


@pytest.mark.parametrize(("dims", "cell"), [(2, 2), (3, 2), (3, 3)])
def test_cells_are_unpacked_as_monai_does_it(dims: int, cell: int) -> None:
    cells = torch.randn(2, 3 * cell**dims, *(4, 5, 6)[:dims])
    assert torch.equal(unpack_cells(cells, (cell,) * dims), pixelshuffle(cells, dims, cell))


def test_cells_of_unlike_sides_are_unpacked() -> None:
    voxels = unpack_cells(torch.arange(8.0).reshape(1, 8, 1, 1, 1).expand(-1, -1, -1, 3, -1), (2, 2, 1))
    assert voxels.shape == (1, 2, 2, 6, 1)
    assert voxels[0, 0, :, :2, 0].tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("kind", "place", "levels"),
    [
        ("unet", "contracting", ["input_block", "downsamples.0", "downsamples.1", "bottleneck"]),
        ("resunet", "contracting", ["input_block", "downsamples.0", "downsamples.1", "bottleneck"]),
        ("unet", "bottleneck", ["bottleneck"]),
    ],
)
def test_dropout_of_pairs_lies_between_their_convolutions(kind: str, place: str, levels: list[str]) -> None:
    s = settings(kind=kind, dropout=0.9, dropout_in=place)
    network, x = build_network(s, seed=0).train(), patch(s)
    found = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda m, given, out, name=name: found.update({name: (given[0], out)}))
    network(x)
    assert sorted(found) == sorted(f"net.{level}.conv2.drop" for level in levels)
    assert all(float((out == 0).float().mean()) > 0.8 for _, out in found.values())
    assert set(network.state_dict()) == set(build_network(settings(kind=kind)).state_dict())
    assert torch.allclose(to_monai(network.eval())(x), network(x), atol=1e-4)


def test_weights_are_counted() -> None:
    network = build_network(settings())
    assert count_parameters(network) == sum(p.numel() for p in network.parameters()) > 1000


def test_the_multiple_is_the_product_of_strides() -> None:
    assert settings().multiple == (8, 8, 4)
    assert settings(dims=2).multiple == (8, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": [[1, 1, 1]] * 3}, "every level needs one of each"),
        ({"kernels": [[3, 3]] * 4}, "3 numbers per level"),
        ({"strides": [[0, 2, 2], *[[2, 2, 2]] * 3]}, "strides must be at least 1"),
        ({"deep_supervision": 4}, "below the number of levels"),
        ({"featuers": (1, 2, 3)}, "Extra inputs"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NetworkSettings.model_validate({**settings().model_dump(), **change})
