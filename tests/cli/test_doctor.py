"""``voxloom doctor``: what is wrong with a machine is found, said with its cure, and ends with 2."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from voxloom.cli.app import run
from voxloom.verbs.doctor import Finding, State, arithmetic, examine, machine, packages, places
from voxloom.verbs.doctor.known_good import KNOWN_GOOD

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TORCH = next(text for text in PROJECT["dependencies"] if text.startswith("torch>="))


def plain_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_known_good_versions_are_those_of_the_constraints() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    tested = {plain_name(name): version.split(";")[0].strip() for name, version in pins.items()}
    assert {plain_name(name): version for name, version in KNOWN_GOOD.items()} == {
        plain_name(name): tested[plain_name(name)] for name in KNOWN_GOOD
    }


def test_every_extra_for_users_is_looked_at() -> None:
    assert set(packages.EXTRAS) == set(PROJECT["optional-dependencies"]) - {"dev", "docs"}


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pyproject.toml declares, whatever is installed."""
    texts = [
        *PROJECT["dependencies"],
        *(f'{part}; extra == "{name}"' for name, parts in PROJECT["optional-dependencies"].items() for part in parts),
    ]
    monkeypatch.setattr(packages.metadata, "requires", lambda name: texts)


@pytest.mark.usefixtures("declared")
def test_a_missing_and_an_old_package_are_faults_with_their_cure() -> None:
    versions = {"torch": "2.0.1", "monai": None}
    found = {f.name: f for f in packages.package_findings(lambda name: versions.get(name, "99.0"))}
    assert found["torch"].state is found["monai"].state is State.fault
    assert found["torch"].text == f"2.0.1 is not {TORCH.removeprefix('torch')}"
    assert found["monai"].fix.startswith("pip install 'monai>=")
    assert "numpy 99.0 (tested" in found["versions"].text
    assert found["versions"].state is State.note


@pytest.mark.usefixtures("declared")
def test_a_missing_extra_is_named_and_no_fault() -> None:
    found = {f.name: f for f in packages.extra_findings(lambda name: None if name == "pynetdicom" else "99.0")}
    assert found["serve"].state is State.note
    assert "lacks pynetdicom" in found["serve"].text
    assert "voxloom[serve]" in found["serve"].fix
    assert found["ray"].state is State.ok


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(
    ("module", "cure"),
    [("torch.nn", f"pip install '{TORCH}'"), ("ray", "voxloom[ray]"), ("sklearn", "scikit-learn>="), ("nobody", "")],
)
def test_a_module_that_is_missing_is_told_with_its_cure(
    module: str, cure: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(name: str | None = None, json_output: bool = False) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("voxloom.cli.recipes.command", lacking)
    assert run(["recipes"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert (cure in said) if cure else ("No module named" in said)


@pytest.mark.parametrize(("version", "state"), [((3, 10), State.fault), ((3, 12), State.ok), ((3, 14), State.fault)])
def test_python_is_one_that_is_known(version: tuple[int, int], state: State) -> None:
    assert machine.python_finding(version).state is state


def test_instructions_are_read(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: X\nflags\t\t: fpu sse2 avx2 avx512_bf16\n")
    assert machine.instructions(tmp_path / "cpuinfo") == ["avx512_bf16", "avx2"]
    assert machine.instructions(tmp_path / "none") == []


def test_a_containers_limit_is_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 67108864 kB\nMemAvailable: 33554432 kB\n")
    (tmp_path / "max").write_text(f"{2 * 2**30}\n")
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "MEMORY_LIMIT", tmp_path / "none")
    assert machine.memory() == (64.0, 32.0)
    monkeypatch.setattr(machine, "MEMORY_LIMIT", tmp_path / "max")
    assert machine.memory() == (2.0, 2.0)
    assert machine.memory_finding().state is State.fault


def test_a_folder_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    found = places.place_finding("runs", tmp_path / "gone", "Give -o")
    assert found.state is State.fault
    assert found.fix == "Give -o"
    assert places.place_finding("runs", tmp_path, "").text.startswith(f"{tmp_path}: can be written")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", arithmetic.PRECISIONS)
def test_a_step_in_every_precision_learns(precision: str) -> None:
    tried = arithmetic.try_step("cpu", precision)
    assert tried["error"] is None
    assert tried["after"] < tried["before"]


def test_wrong_arithmetic_and_a_crash_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "losses", lambda device, precision: (1.0, float("nan")))
    assert arithmetic.finding_of(arithmetic.try_step("cpu", "fp32")).state is State.fault
    assert "SIGILL" in arithmetic.death(-4, "").text


def test_the_command_says_all_and_ends_with_2_for_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ready"]
    assert {f["topic"] for f in told["findings"]} == {"machine", "places", "packages", "extras", "arithmetic"}
    broken = Finding("arithmetic", "training step", State.fault, "ended by SIGILL", "Install torch again")
    monkeypatch.setattr("voxloom.verbs.doctor.report.arithmetic_findings", lambda: [broken])
    assert not examine(tmp_path).to_dict()["ready"]
    assert run(["doctor", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("Error: training step: ended by SIGILL. Install torch again") == 1
    assert "ready" not in said


def test_the_cpu_has_the_name_of_the_field() -> None:
    names = [found.name for found in machine.machine_findings()]
    assert "CPU" in names
    assert "processor" not in names
