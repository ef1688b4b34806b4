"""Names of devices: what is there is taken, everything else is refused in one line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.inference import precision
from voxloom.inference.device import GIB, card_of, kind_of, pick_device
from voxloom.recipe.recipe import Recipe


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch):
    """Pretend a number of graphics cards."""

    def there(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return there


@pytest.mark.parametrize(
    ("count", "wanted", "found"),
    [
        (0, "auto", "cpu"),
        (0, "cpu", "cpu"),
        (1, "auto", "cuda"),
        (1, "cuda", "cuda"),
        (2, "cuda:1", "cuda:1"),
        (2, "cpu", "cpu"),
    ],
)
def test_a_device_that_is_there_is_taken(cards, count: int, wanted: str, found: str) -> None:
    cards(count)
    assert pick_device(wanted) == found
    assert kind_of(found) == ("cpu" if found == "cpu" else "cuda")


@pytest.mark.parametrize(
    ("count", "wanted", "line"),
    [
        (0, "cuda", "no graphics card was found"),
        (0, "cuda:0", "no graphics card was found"),
        (1, "cuda:1", "there is no graphics card cuda:1.*This machine has cuda:0 alone"),
        (4, "cuda:7", "cuda:0 to cuda:3"),
        (2, "cuda:0,1", "a training uses one graphics card"),
        (2, "0,1", "a training uses one graphics card"),
        (1, "gpu", "there is no device 'gpu'.*cuda:N or mps"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(cards, count: int, wanted: str, line: str) -> None:
    cards(count)
    with pytest.raises(BadInput, match=line) as caught:
        pick_device(wanted)
    assert "\n" not in str(caught.value)


def test_an_apple_chip_is_taken_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(BadInput, match="no Apple chip"):
        pick_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 16 * GIB)
    assert pick_device("mps") == "mps"
    card = card_of("mps")
    assert card is not None
    assert (card.gib, card.bf16) == (16.0, False)
    assert precision.lower_precision("mps") == "fp16"
    assert precision.autocast_dtype("fp16", torch.device("mps")) is torch.float16


def test_a_card_says_its_memory_and_whether_it_has_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SimpleNamespace(name="T4", total_memory=15 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    card = card_of("cuda:1")
    assert card is not None
    assert (card.name, card.gib, card.bf16) == ("T4", 15.0, False)
    assert card_of("cpu") is None
    precision.bf16_slowdown.cache_clear()
    assert precision.lower_precision("cuda:1") == "fp16"
    precision.bf16_slowdown.cache_clear()
    assert precision.lower_precision("cpu") == "bf16"
    assert precision.autocast_dtype("fp16", torch.device("cpu")) is None


def test_a_recipe_may_name_a_card_and_nothing_unknown() -> None:
    assert Recipe.parse("device: cuda:3", "x.yaml").device == "cuda:3"
    with pytest.raises(BadInput, match="there is no device 'tpu'"):
        Recipe.parse("device: tpu", "x.yaml")


def test_the_command_line_says_it_in_one_line(cards, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cards(0)
    from tests.tasks.scans import write_scans

    data = write_scans(tmp_path, "segmentation", range(4))
    assert voxloom(["train", str(data), "-o", str(tmp_path / "run"), "--device", "cuda"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "no graphics card was found. Use --device cpu" in told
    assert not (tmp_path / "run").exists()
