"""First weights: ImageNet files that the test makes, another run's encoder, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import get_encoder

from voxloom.errors import BadInput
from voxloom.networks import SegmentationNetwork, build_network, network_settings
from voxloom.training.first_weights import set_first_weights, weights_folder
from voxloom.training.fit import build_module, fit
from voxloom.training.init import InitSettings
from voxloom.training.pace import Pace
from voxloom.training.weights import load_weights, save_weights

from .fakes import ball_training


def network_of(
    kind: str = "pspnet", encoder: str = "resnet34", channels: int = 1, seed: int = 0
) -> SegmentationNetwork:
    values = {"kind": kind, "encoder": encoder, "in_channels": channels, "out_channels": 2}
    return build_network(network_settings(values), seed=seed)


@pytest.fixture(scope="module")
def made_encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files as the hub has them: whole encoders for three channels, with a classifier that nobody needs."""
    files = {}
    for name in ("resnet34", "inceptionv4"):
        torch.manual_seed(5)
        state = get_encoder(name, weights=None).state_dict()
        files[name] = tmp_path_factory.mktemp("weights é") / f"{name}.safetensors"
        save_file({**state, "fc.weight": torch.zeros(3, 3)}, files[name])
    return files


@pytest.mark.parametrize(
    ("kind", "encoder"), [("pspnet", "resnet34"), ("dynamic_unet", "resnet34"), ("pspnet", "inceptionv4")]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_fills_the_encoder_and_leaves_the_head(
    made_encoders: dict[str, Path], kind: str, encoder: str, channels: int
) -> None:
    from safetensors.torch import load_file

    network = network_of(kind, encoder, channels)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    set_first_weights(network, InitSettings(weights=str(made_encoders[encoder])))
    source, inside = load_file(made_encoders[encoder]), set(network.encoder_names())
    for name, tensor in network.state_dict().items():
        if name not in inside:
            assert torch.equal(tensor, before[name])
        elif tensor.ndim == 4 and tensor.shape[1] == channels and tensor.shape[1] in (1, 3) and "branch" not in name:
            original = source[name.removeprefix("net.").removeprefix("encoder.")]
            assert torch.allclose(tensor, original if channels == 3 else original.sum(1, keepdim=True), atol=1e-6)
        else:
            assert torch.equal(tensor, source[name.removeprefix("net.").removeprefix("encoder.")])


def test_a_file_put_by_hand_serves_imagenet(
    made_encoders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    place = weights_folder() / "smp-hub--resnet34.imagenet.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(made_encoders["resnet34"].read_bytes())
    network = network_of()
    first = network.state_dict()["net.encoder.layer1.0.conv1.weight"].clone()
    set_first_weights(network, InitSettings(weights="imagenet"))
    assert not torch.equal(network.state_dict()["net.encoder.layer1.0.conv1.weight"], first)


def test_without_network_the_message_says_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*arguments: object, **named: object) -> str:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    for source, file in (
        ("imagenet", "smp-hub--resnet34.imagenet"),
        ("someone/their-encoder", "someone--their-encoder"),
    ):
        with pytest.raises(BadInput, match="could not be fetched") as error:
            set_first_weights(network_of(), InitSettings(weights=source))
        message = str(error.value)
        assert "\n" not in message
        assert "https://huggingface.co/" in message
        assert str(weights_folder() / f"{file}.safetensors") in message


def test_a_hub_id_is_fetched(made_encoders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetched(repository: str, name: str, revision: str) -> str:
        asked.append((repository, name, revision))
        return str(made_encoders["resnet34"])

    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetched)
    set_first_weights(network_of(), InitSettings(weights="someone/their-encoder"))
    assert asked == [("someone/their-encoder", "model.safetensors", "main")]


def test_what_does_not_fit_is_refused_and_changes_nothing(made_encoders: dict[str, Path], tmp_path: Path) -> None:
    other = network_of("pspnet", "resnet50")
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(BadInput, match="do not fit this network"):
        set_first_weights(other, InitSettings(weights=str(made_encoders["resnet34"])))
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())
    plain = build_network(network_settings({"kind": "cnn", "in_channels": 1, "out_channels": 2}))
    with pytest.raises(BadInput, match="needs an encoder"):
        set_first_weights(plain, InitSettings(weights="imagenet"))
    with pytest.raises(BadInput, match="no such file"):
        set_first_weights(network_of(), InitSettings(weights=str(tmp_path / "gone.safetensors")))
    pickled = tmp_path / "pickled.safetensors"
    torch.save({"conv1.weight": torch.zeros(1)}, pickled)
    with pytest.raises(BadInput, match="not a readable safetensors file"):
        set_first_weights(network_of(), InitSettings(weights=str(pickled)))
    with pytest.raises(ValidationError, match="not both"):
        InitSettings(weights="imagenet", run=tmp_path)


def test_an_encoder_moves_between_kinds_and_numbers_of_channels(tmp_path: Path) -> None:
    source, target = network_of("pspnet", channels=3, seed=1), network_of("pspnet", channels=1, seed=2)
    save_weights(tmp_path / "fold_0", source.state_dict(), {"network": source.settings.model_dump(mode="json")})
    set_first_weights(target, InitSettings(run=tmp_path))
    there, here = source.state_dict(), target.state_dict()
    assert torch.allclose(here["net.encoder.conv1.weight"], there["net.encoder.conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(here["net.encoder.layer2.0.conv1.weight"], there["net.encoder.layer2.0.conv1.weight"])
    assert not torch.equal(here["net.segmentation_head.0.weight"], there["net.segmentation_head.0.weight"])
    with pytest.raises(BadInput, match="pspnet"):
        set_first_weights(network_of("dynamic_unet"), InitSettings(run=tmp_path))  # it needs the stages that were cut


@pytest.mark.parametrize("part", ["encoder", "all"])
def test_a_training_starts_from_another_run(tmp_path: Path, part: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    first = ball_training(tmp_path / "run" / "fold_0", steps=4)
    fit(replace(first, description={"network": first.network.model_dump(mode="json")}), device="cpu")
    weights, _ = load_weights(tmp_path / "run" / "fold_0")
    init = InitSettings(run=tmp_path / "run", part=part)
    job = replace(ball_training(tmp_path / "next", seed=9), init=init)
    module = build_module(job, Pace(4))
    state, inside = module.network.state_dict(), set(module.network.encoder_names())
    assert all(torch.equal(state[name], weights[name]) for name in (inside if part == "encoder" else state))
    assert all(torch.equal(module.ema.average[name], state[name]) for name in state)
    head = "net.output_block.conv.conv.weight"
    assert torch.equal(state[head], weights[head]) == (part == "all")
    torch.set_num_threads(threads)


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="fold_2"):
        set_first_weights(network_of(), InitSettings(run=tmp_path, fold=2))
