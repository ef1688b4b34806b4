"""Disagreement of members against its plain definition; views and draws that follow from a seed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from voxloom.dataset.labels import Label, Labels
from voxloom.errors import BadInput
from voxloom.evaluation import dice_score
from voxloom.inference import Windowing, predict_map
from voxloom.inference import disagreement as module
from voxloom.inference.disagreement import disagreement
from voxloom.inference.embedding import deepest_features, features_of_windows, image_features
from voxloom.inference.grid import evenly
from voxloom.inference.variation import Mirrored
from voxloom.inference.windows import windows_over
from voxloom.networks import MixedScaleSettings, NetworkSettings, build_network
from voxloom.networks.dropout import active_dropout, dropout_layers
from voxloom.prepare import SliceStack

PLAIN = Labels((Label("a", (10,)), Label("b", (20,))))
NESTED = Labels((Label("whole", (1, 2)), Label("core", (2,))), regions_order=(1, 2))
SHAPE = (7, 5, 4)


def fill(values: np.ndarray, out: np.ndarray) -> None:
    out[...] = values


def members(regions: bool, count: int = 4) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    logits = 2 * random.normal(size=(1, 3, *SHAPE)) + random.normal(size=(count, 3, *SHAPE))
    if regions:
        return list((1 / (1 + np.exp(-logits[:, :2]))).astype(np.float16))
    shares = np.exp(logits)
    return list((shares / shares.sum(axis=1, keepdims=True)).astype(np.float16))


def entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(np.maximum(p, 1e-12)))


@pytest.mark.parametrize("regions", [False, True])
def test_maps_are_those_of_the_definition(regions: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_VALUES", 200)  # two planes at a time
    found_of = members(regions)
    labels = NESTED if regions else PLAIN
    p = np.array(found_of, dtype=np.float64)
    with disagreement([partial(fill, one) for one in found_of], p.shape[1], SHAPE, labels) as found:
        assert np.allclose(found.spread, p.std(axis=0, ddof=1).max(axis=0), atol=1e-4)
        each = (
            (entropy(p) + entropy(1 - p)) / np.log(2) if regions else entropy(p).sum(axis=1, keepdims=True) / np.log(3)
        )
        m = p.mean(axis=0)
        whole = (
            (entropy(m) + entropy(1 - m)) / np.log(2) if regions else entropy(m).sum(axis=0, keepdims=True) / np.log(3)
        )
        assert np.allclose(found.entropy, whole.max(axis=0), atol=2e-3)
        assert np.allclose(found.mutual_information, (whole - each.mean(axis=0)).max(axis=0), atol=2e-3)
        votes = p > 0.5 if regions else np.stack([p.argmax(axis=1) == n for n in (1, 2)], axis=1)
        assert np.array_equal(found.foreground, votes.any(axis=(0, 1)))
        pairs = list(combinations(range(4), 2))
        if not regions:
            for n, name in enumerate(labels.names):
                expected = [dice_score(votes[a, n], votes[b, n]) for a, b in pairs]
                assert found.pairwise_dice[name] == pytest.approx(expected)
        figures = found.figures()
        assert figures["entropy"] == pytest.approx(found.entropy[found.foreground].mean(), abs=1e-5)
        assert figures["least_pairwise_dice"] <= figures["pairwise_dice"] < 1


def test_members_that_agree() -> None:
    one = members(False)[0]
    with disagreement([partial(fill, one)] * 3, 3, SHAPE, PLAIN) as found:
        assert found.spread.max() < 1e-3
        assert found.mutual_information.max() < 1e-3
        assert found.entropy.max() > 0.5
        assert found.figures()["pairwise_dice"] == 1
    nothing = np.zeros((3, *SHAPE), np.float16)
    nothing[0] = 1
    with disagreement([partial(fill, nothing)] * 2, 3, SHAPE, PLAIN) as found:
        figures = found.figures()
    assert figures["pairwise_dice"] == 1
    assert figures["entropy"] == 1, "where nothing is found there is no foreground to be sure about"
    with pytest.raises(BadInput, match="one member alone"), disagreement([partial(fill, one)], 3, SHAPE, PLAIN):
        pass


def unet(**changes: Any) -> nn.Module:
    values: dict[str, Any] = {
        "dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "features": (4, 6, 8),
        "strides": ((1, 1, 1), (2, 2, 2), (2, 2, 2)),
        "kernels": ((3, 3, 3),) * 3,
    }
    return build_network(NetworkSettings.model_validate(values | changes), seed=0).eval()


@pytest.mark.parametrize("place", ["all", "contracting"])
def test_dropout_draws_follow_from_the_seed(place: str) -> None:
    network = unet(dropout=0.4, dropout_in=place, norm="batch")
    window = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    before = torch.random.get_rng_state()

    def drawn(seed: int) -> torch.Tensor:
        with torch.inference_mode(), active_dropout([network], seed):
            assert not network.training
            assert all(not m.training for m in network.modules() if isinstance(m, nn.BatchNorm3d))
            return network(window)

    with torch.inference_mode():
        plain = network(window)
        assert torch.equal(drawn(1), drawn(1))
        assert not torch.equal(drawn(1), drawn(2))
        assert not torch.equal(drawn(1), plain)
        assert torch.equal(network(window), plain), "afterwards dropout is silent again"
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_network_without_dropout_is_refused() -> None:
    network = unet()
    assert dropout_layers(network) == []
    with pytest.raises(BadInput, match="--uncertainty tta"), active_dropout([unet(dropout=0.1), network], 0):
        pass


def test_a_mirrored_network_is_turned_back() -> None:
    network = unet()
    window = torch.randn(1, 1, 8, 8, 8)
    with torch.inference_mode():
        assert torch.equal(Mirrored(network, (0, 2))(window), network(window.flip((2, 4))).flip((2, 4)))


def test_deepest_features() -> None:
    network = unet()
    with deepest_features(network) as seen, torch.inference_mode():
        network(torch.randn(3, 1, 8, 8, 8))
    assert [row.shape for row in seen] == [(16,)] * 3
    assert not network.net.bottleneck._forward_hooks
    dense = MixedScaleSettings(kind="msd", dims=2, in_channels=1, out_channels=2, depth=3)
    with deepest_features(build_network(dense, seed=0).eval()) as seen:
        assert seen == [], "its encoder is not a module that runs by itself"
    assert image_features(np.zeros((2, 3, 3, 3), np.float32)).shape == (14,)


def test_mirrored_windows_are_left_out_of_the_features() -> None:
    network, image = unet(), np.random.default_rng(0).normal(size=(1, 16, 8, 8)).astype(np.float32)
    windowing = Windowing((8, 8, 8), channels_last=False)
    with deepest_features(network) as plain:
        predict_map(network, image, windowing)
    with deepest_features(network, every=4) as mirrored:
        predict_map(network, image, replace(windowing, tta_axes=(0, 1)))
    assert len(plain) == 3
    np.testing.assert_allclose(mirrored, plain, rtol=1e-5, atol=1e-6)


def test_some_windows_are_looked_at_and_no_further_than_needed() -> None:
    network, passed = unet(), []
    image = np.random.default_rng(0).normal(size=(1, 24, 8, 6)).astype(np.float32)
    windowing = Windowing((8, 8, 8), channels_last=False)
    with deepest_features(network) as plain:
        predict_map(network, image, replace(windowing, overlap=0))
    handle = network.register_forward_hook(lambda *given: passed.append(given))
    every, middle = (features_of_windows(network, image, windowing, most) for most in (8, 1))
    handle.remove()
    assert passed == [], "the network ran to its end"
    np.testing.assert_allclose(every, np.mean(plain, axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(middle, plain[1], rtol=1e-5, atol=1e-6)
    assert not network.net.bottleneck._forward_hooks


@pytest.mark.parametrize("stack", [SliceStack(neighbors=1), SliceStack(spread=True)])
def test_windows_of_slices_have_the_shape_that_the_network_sees(stack: SliceStack) -> None:
    image = np.arange(2 * 8 * 8 * 10, dtype=np.float32).reshape(2, 8, 8, 10)
    patch = (8, 8, 4) if stack.spread else (8, 8, 1)
    shapes = [tuple(window.shape) for window in windows_over(image, Windowing(patch, stack=stack), 3)]
    assert set(shapes) == ({(1, 2, 8, 8, 4)} if stack.spread else {(1, 6, 8, 8, 1)})
    assert evenly(10, 3) == [1, 5, 8]
    assert evenly(2, 5) == [0, 1]
