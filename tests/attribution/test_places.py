"""Where the answers of places are pooled by their maximum, maps of features show the place that gave the class its answer."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from voxloom.attribution import Explainable, Method, MethodSettings, attribute
from voxloom.inference.views import Member
from voxloom.networks.case_networks import CaseNetwork, build_case_network
from voxloom.networks.case_settings import case_network_settings
from voxloom.prepare import PrepareSettings
from voxloom.tasks.classification.classes import Meaning
from voxloom.tasks.classification.explained import explain_classes
from voxloom.tasks.whole_case.predictor import CasePredictor
from voxloom.training.settings import TrainingSettings
from voxloom.volume import Volume

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, LEVELS = (16, 16, 12), {"features": [2, 2, 2], "strides": [[1] * 3] * 3, "kernels": [[1] * 3] * 3}
BRIGHT, DARK = (3, 4, 3), (12, 11, 8)


def network(pooling: str) -> CaseNetwork:
    """Bright voxels say "a"; dark ones speak against "b" and "c", twice as strongly."""
    made = build_case_network(
        case_network_settings({"kind": "encoder", "out_channels": 3, "residual": False, "pooling": pooling, **LEVELS})
    )
    for module in made.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.zeros_(module.weight)
    with torch.no_grad():
        blocks = made.encoder_stages()
        first: Any = blocks[0][0]
        first.conv1.conv.weight[:, 0] = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
        others = [conv for block in blocks for name in ("conv1", "conv2") if (conv := getattr(block[0], name).conv)]
        for conv in others[1:]:
            conv.weight[[0, 1], [0, 1]] = 1
        made.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -2.0], [0.0, -2.0]]))
    return made.eval().requires_grad_(False)


def explained(pooling: str, kind: Any = "single") -> Explainable:
    made = network(pooling)
    networks = CasePredictor(
        members=(Member(made, None),),
        network=made.settings,
        prepare=PrepareSettings(orientation=None, spacing=None, normalize="none"),
        training=TrainingSettings(patch=SIZE),
        augment=SimpleNamespace(),  # type: ignore[arg-type]
        channels=("image",),
        device=torch.device("cpu"),
    )
    meaning = Meaning(kind, ("a", "b", "c"), (None,))
    predictor: Any = SimpleNamespace(networks=networks, meaning=meaning)
    return explain_classes(predictor, ())


@pytest.fixture
def scan() -> Volume:
    data = np.zeros((1, *SIZE), np.float32)
    data[0][BRIGHT], data[0][DARK] = 4.0, -4.0
    return Volume(data, np.eye(4))


def peak(found: Volume) -> tuple[int, ...]:
    return tuple(int(n) for n in np.unravel_index(int(found.data[0].argmax()), SIZE))


@pytest.mark.parametrize("method", ["cam", "grad-cam", "grad-cam++"])
def test_the_place_that_answers_for_the_class(scan: Volume, method: Method) -> None:
    """Log odds would point at the dark voxel: no place answers "b" or "c" less, but the largest answers of these lie elsewhere."""
    networks, settings = explained("lse"), MethodSettings(method=method)
    log_odds = replace(networks, of_features=None)
    assert peak(attribute(log_odds, scan, "a", settings).map) == DARK
    assert peak(attribute(networks, scan, "a", settings).map) == BRIGHT
    assert "before softmax" in networks.scored(method).says


def test_other_networks_and_methods_explain_log_odds(scan: Volume) -> None:
    for networks, method in ((explained("lse"), "occlusion"), (explained("mean"), "grad-cam")):
        assert networks.scored(method).says.startswith("log odds")  # type: ignore[arg-type]
    assert peak(attribute(explained("mean"), scan, "a", MethodSettings(method="cam")).map) == DARK
    assert explained("lse", "findings").of_features is None, "a finding has an answer of its own already"
