"""Trainings of whole cases in phases: small images first with the weights carried over, frozen, then freed at discriminative rates;
and encoders that start from a segmentation run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from voxloom.augment import AugmentSettings
from voxloom.errors import BadInput
from voxloom.networks import NetworkSettings, build_network
from voxloom.networks.case_settings import case_network_settings
from voxloom.tasks.classification.classes import Meaning
from voxloom.tasks.classification.objective import ClassObjective
from voxloom.tasks.whole_case.predictor import InMemory
from voxloom.tasks.whole_case.sampling import WholeCase
from voxloom.tasks.whole_case.settings import ClassificationSettings
from voxloom.tasks.whole_case.training import WholeCaseTraining
from voxloom.training.fit import build_module, fit
from voxloom.training.init import InitSettings
from voxloom.training.pace import Pace
from voxloom.training.settings import TrainingSettings
from voxloom.training.weights import load_weights, save_weights

pytestmark = pytest.mark.usefixtures("one_thread")
PHASES = (
    {"share": 1, "scale": 0.5},
    {"share": 1, "frozen": True},
    {"share": 2, "rate": 0.1, "discriminative": 0.05},
)
LEVELS = {"features": [4, 8, 8], "strides": [[1] * 3, [2] * 3, [2] * 3], "kernels": [[3] * 3] * 3}


def training(folder: Path, steps: int = 8, init: InitSettings | None = None, **changes: object) -> WholeCaseTraining:
    cases = {}
    for n in range(8):
        image = np.random.default_rng(n).normal(0, 0.3, (1, 8, 10, 6)).astype(np.float32)
        image[:, 2:6, 2:6, 1:5] += 2 * (n % 2)
        cases[f"c{n}"] = WholeCase(InMemory(image), np.eye(2, dtype=np.float32)[n % 2], np.zeros(0, np.float32))
    settings = {"patch": (8, 10, 6), "batch": 4, "steps": steps, "monitor": "train_loss", "phases": PHASES, "ema": 0.0}
    meaning = Meaning("single", ("a", "b"), (None,))
    return WholeCaseTraining(
        folder, dict(list(cases.items())[:6]), dict(list(cases.items())[6:]),
        ClassObjective(meaning, ClassificationSettings()),
        case_network_settings({"kind": "encoder", "dims": 3, "out_channels": 2, **LEVELS}),
        TrainingSettings.model_validate({**settings, **changes}), AugmentSettings(elastic_chance=0), 0.0, (1.0, 1.0, 1.0), 0, {},
        init=init or InitSettings(),
    )  # fmt: skip


def test_phases_change_resolution_encoder_and_rates(tmp_path: Path) -> None:
    job = training(tmp_path)
    module = build_module(job, Pace(8))
    groups = module.configure_optimizers().param_groups
    batch = (0, torch.randn(2, 1, 8, 10, 6), torch.eye(2))
    expected = {0.0: ((4, 5, 3), True, 1.0), 0.3: ((8, 10, 6), False, 1.0), 0.9: ((8, 10, 6), True, 0.05)}
    encoder = module.network.encoder_stages()[0][0]
    for progress, (size, learns, first) in expected.items():
        module.pace.progress = progress
        seen, _ = module.augmented(batch)
        assert tuple(seen.shape[2:]) == size
        module.freeze_as_due()
        assert all(weight.requires_grad == learns for weight in encoder.parameters())
        assert module.factor_of(groups[0]) == pytest.approx(first)
        assert module.factor_of(groups[-1]) == 1.0


def test_weights_are_carried_from_small_images_to_large_ones(tmp_path: Path) -> None:
    """The second phase freezes what the first has learned, and learns the head alone."""
    name = next(n for n in build_module(training(tmp_path), Pace(8)).network.state_dict() if n.endswith("conv.weight"))
    first = build_module(training(tmp_path), Pace(8)).network.state_dict()[name]
    fit(training(tmp_path / "small", 4, phases=PHASES[:1]), device="cpu")
    fit(training(tmp_path / "both", 8, phases=PHASES[:2]), device="cpu")
    small, both = (load_weights(tmp_path / run)[0] for run in ("small", "both"))
    assert not torch.equal(small[name], first)
    assert not torch.equal(both[name], first)
    head = [n for n in both if n.startswith("head")]
    assert any(not torch.equal(both[n], small[n]) for n in head)


def test_an_encoder_starts_from_a_segmentation_run(tmp_path: Path) -> None:
    unet = build_network(NetworkSettings(kind="resunet", dims=3, in_channels=1, out_channels=3, norm="batch", **LEVELS))
    (tmp_path / "run" / "fold_0").mkdir(parents=True)
    save_weights(tmp_path / "run" / "fold_0", unet.state_dict(), {"network": {"kind": "resunet"}})
    init = InitSettings(run=tmp_path / "run", part="encoder")
    job = training(tmp_path / "cls", init=init)
    network = job.build_network()
    job.set_first_weights(network)
    theirs, ours = unet.state_dict(), network.state_dict()
    shared = [name for name in ours if not name.startswith("head") and name in theirs]
    assert len(shared) == len([name for name in ours if not name.startswith("head")])
    assert all(torch.equal(ours[name], theirs[name]) for name in shared)
    odd = NetworkSettings(
        kind="resunet", dims=3, in_channels=1, out_channels=3, norm="batch", **{**LEVELS, "features": [4, 8, 12]}
    )
    save_weights(tmp_path / "run" / "fold_0", build_network(odd).state_dict(), {"network": {"kind": "resunet"}})
    with pytest.raises(BadInput, match="do not fit this network"):
        job.set_first_weights(network)
