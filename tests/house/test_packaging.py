"""What is packaged beside the wheel names what there is: versions of the conda recipe, files of the Dockerfile, targets."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: PyPI's name -> conda-forge's, where they differ.
CONDA = {
    "torch": "pytorch", "duckdb": "python-duckdb", "SimpleITK": "simpleitk", "blosc2": "python-blosc2",
    "huggingface-hub": "huggingface_hub",
}  # fmt: skip


def test_the_conda_recipe_needs_what_the_wheel_needs() -> None:
    recipe = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text())
    split = [re.match(r"([\w.-]+)(.*)", text) for text in PROJECT["dependencies"]]
    needed = [f"{CONDA.get(found[1], found[1])} {found[2]}" for found in split if found]
    assert recipe["requirements"]["run"] == [f"python {PROJECT['requires-python']}", *needed]
    assert recipe["package"] == {"name": "voxloom", "version": PROJECT["version"]}
    assert recipe["build"]["python"]["entry_points"] == [f"voxloom = {PROJECT['scripts']['voxloom']}"]


def test_the_dockerfile_copies_what_there_is() -> None:
    text = (ROOT / "packaging" / "Dockerfile").read_text()
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
            assert name in kept, f"{name} does not reach docker"
    for extras in re.findall(r"\[([\w,]+)\]\"", text):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_scripts_can_be_run_and_have_targets() -> None:
    make = (ROOT / "Makefile").read_text()
    assert os.access(ROOT / ".ci" / "wheel", os.X_OK)
    for target in ("wheel", "lowest"):
        assert re.search(rf"^{target}:\n\t.*\.ci/wheel", make, re.MULTILINE)
