"""The contract that every network keeps: sizes, gradients, seeds, batches of one, layout, reload, stages, counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from voxloom.networks import (
    NetworkSettings,
    SegmentationNetwork,
    build_network,
    count_parameters,
    network_kinds,
    network_settings,
)
from voxloom.training.weights import load_weights, save_weights, weights_hash

from .families import FAMILIES, documented_weights


@dataclass(frozen=True)
class Built:
    """A network with seed 1, its settings, and the hash of its first weights."""

    network: SegmentationNetwork
    settings: dict[str, object]
    sha256: str

    @property
    def dims(self) -> int:
        return int(self.network.settings.dims)

    def image(self, count: int = 2, *, odd: bool = False, seed: int = 0) -> Tensor:
        """Noise; of a size that nothing divides where ``odd`` (U-Nets are given patches that fit)."""
        odd = odd and not isinstance(self.network.settings, NetworkSettings)
        size = {(2, False): (64, 32), (3, False): (16, 8, 8), (2, True): (67, 45), (3, True): (13, 9, 5)}[
            self.dims, odd
        ]
        return torch.randn(count, 2, *size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=FAMILIES)
def built(request: pytest.FixtureRequest) -> Iterator[Built]:
    values = FAMILIES[request.param]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    network = build_network(network_settings(values), seed=1)
    yield Built(network, values, weights_hash(network.state_dict()))
    torch.set_num_threads(threads)


def logits_of(outputs: Tensor | list[Tensor]) -> Tensor:
    return outputs[0] if isinstance(outputs, list) else outputs


def test_the_same_seed_gives_the_same_weights_and_the_global_generator_is_left_alone(built: Built) -> None:
    before = torch.get_rng_state()
    again = build_network(network_settings(built.settings), seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert weights_hash(again.state_dict()) == built.sha256
    other = build_network(network_settings(built.settings), seed=2)
    assert weights_hash(other.state_dict()) != built.sha256


@pytest.mark.parametrize("odd", [False, True])
def test_the_result_has_the_size_of_the_image(built: Built, odd: bool) -> None:
    image = built.image(odd=odd)
    with torch.no_grad():
        found = built.network.eval()(image)
    assert found.shape == (2, 3, *image.shape[2:])
    assert found.isfinite().all()


def test_every_weight_gets_a_finite_gradient_also_in_a_batch_of_one(built: Built) -> None:
    network = built.network.train()
    network.zero_grad()
    outputs = network(built.image(1))
    heads = outputs if isinstance(outputs, list) else [outputs]
    torch.stack([head.square().mean() for head in heads]).sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, f"{name} is not used"
        assert weight.grad.isfinite().all(), name
    dead = [name for name, weight in network.named_parameters() if not weight.grad.any()]
    assert len(dead) <= 0.1 * len(list(network.parameters())), dead


def test_a_patch_does_not_depend_on_its_batch(built: Built) -> None:
    network, image = built.network.eval(), built.image(3)
    with torch.no_grad():
        whole, alone = network(image)[1:2], network(image[1:2])
    assert torch.allclose(whole, alone, atol=1e-3 * float(whole.abs().max()))


def test_channels_last_gives_the_same_answer(built: Built) -> None:
    layout = torch.channels_last if built.dims == 2 else torch.channels_last_3d
    network, image = built.network.eval(), built.image()
    with torch.no_grad():
        expected = network(image)
        laid = network.to(memory_format=layout)(image.contiguous(memory_format=layout))
    assert torch.allclose(laid, expected, atol=1e-3 * float(expected.abs().max()))


def test_bfloat16_autocast_is_near_float32(built: Built) -> None:
    network, image = built.network.eval(), built.image(1)
    with torch.no_grad():
        expected = network(image)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(image).float()
    difference, size = (found - expected).square().mean().sqrt(), expected.square().mean().sqrt()
    assert float(difference) < 0.15 * float(size)


def test_it_trains(built: Built) -> None:
    """Three steps towards its own image's sign lower the loss; the weights of the fixture come back afterwards."""
    network, image = built.network, built.image()
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    target = (image[:, 0] > 0).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    losses = []
    for _ in range(3):
        torch.manual_seed(0)
        loss = torch.nn.functional.cross_entropy(logits_of(network.train()(image)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    network.load_state_dict(kept)
    assert losses[-1] < losses[0]


def test_it_is_the_same_after_export_and_reload(built: Built, tmp_path: Path) -> None:
    network, image = built.network.eval(), built.image(1)
    save_weights(tmp_path, network.state_dict(), {"network": network.settings.model_dump(mode="json")})
    weights, about = load_weights(tmp_path)
    assert json.loads(json.dumps(about["network"])) == about["network"]
    other = build_network(network_settings(about["network"]), seed=3)
    other.load_state_dict(weights)
    layout = torch.channels_last if built.dims == 2 else torch.channels_last_3d
    with torch.no_grad():
        expected = network(image)
        found = other.eval().to(memory_format=layout)(image)
    assert torch.allclose(found, expected, atol=1e-3 * float(expected.abs().max()))


def test_stages_and_groups_hold_every_weight_once(built: Built) -> None:
    network = built.network
    groups = network.layer_groups()
    ids = [id(weight) for group in groups for weight in group]
    assert len(ids) == len(set(ids)) == len(list(network.parameters()))
    assert len(groups) == len(network.encoder_stages()) + 1
    names = network.encoder_names()
    inside = {name for name, weight in network.named_parameters() if any(weight is w for g in groups[:-1] for w in g)}
    assert inside == set(names) & {name for name, _ in network.named_parameters()}
    assert not any(name.startswith(("head", "net.segmentation_head", "net.output_block")) for name in names)


#: What makes the small members of a family those of the docs.
FULL_SIZE = {"msd": {"depth": 100}, "monai_unet": {"features": (16, 32, 64, 128, 256), "strides": (2, 2, 2, 2)}}


def test_the_docs_record_the_number_of_weights(built: Built) -> None:
    s = network_settings(built.settings)
    if not isinstance(s, NetworkSettings):  # those are as large as the planner makes them
        full = s.model_copy(update={"in_channels": 1, "out_channels": 2, **FULL_SIZE.get(s.kind, {})})
        assert documented_weights(full) == f"{count_parameters(build_network(full, seed=0)):,}"


def test_every_kind_is_in_the_contract() -> None:
    assert {str(values["kind"]) for values in FAMILIES.values()} == set(network_kinds())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "fpn", "encoder": "resnet43"}, "encoder"),
        ({"kind": "fpn", "dims": 3}, "dims"),
        ({"kind": "msd", "dims": 2, "depth": 0}, "depth"),
        ({"kind": "cnn", "version": "v4"}, "version"),
        ({"kind": "cnn", "features": [1, 2, 3]}, "Extra inputs"),
        ({"kind": "vnet"}, "kind"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        network_settings({"in_channels": 1, "out_channels": 2, **change})
