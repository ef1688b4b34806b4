"""The page's files: what is vendored is what was pinned, nothing comes from outside, and the wheel takes all of it."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from voxloom.serve.page import CSP, STATIC, VENDORED

ROOT = Path(__file__).parents[3]
OWN = sorted(p for p in STATIC.rglob("*") if p.is_file() and p.parent.name != "vendor")


@pytest.mark.parametrize("name", sorted(VENDORED))
def test_vendored_files_are_the_pinned_ones(name: str) -> None:
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == VENDORED[name]


def test_nothing_is_vendored_without_a_pin() -> None:
    assert {str(p.relative_to(STATIC)) for p in (STATIC / "vendor").iterdir()} == set(VENDORED)


def test_niivue_is_the_version_that_was_measured_and_its_licence_lies_beside_it() -> None:
    assert '"0.69.0"' in (STATIC / "vendor/niivue.umd.js").read_text(encoding="utf-8")
    assert "BSD 2-Clause License" in (STATIC / "vendor/LICENSE.niivue.txt").read_text(encoding="utf-8")


def test_own_files_name_no_address_outside() -> None:
    known = (
        "http://www.w3.org/2000/svg",
        "https://nifti.nimh.nih.gov",
        "https://raw.githubusercontent.com/slicer/slicer/",
    )
    found = {
        (path.name, address)
        for path in OWN
        for address in re.findall(r"https?://[^\s\"')]+", path.read_text(encoding="utf-8"))
        if not address.startswith(known)
    }
    assert found == set()


def test_modules_import_files_that_exist_and_write_no_markup() -> None:
    for path in (p for p in OWN if p.suffix == ".js"):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"from \"(\.[^\"]+)\"", text):
            assert (path.parent / target).is_file(), f"{path.name} imports {target}"
        assert "innerHTML" not in text, path.name
        assert "eval(" not in text, path.name


def test_policy_allows_the_own_origin_only() -> None:
    sources = set(re.findall(r"\S+", " ".join(part.split(None, 1)[1] for part in CSP.split("; "))))
    assert sources == {"'self'", "'none'", "data:", "blob:"}


def test_every_file_of_the_page_is_kept_by_git_and_so_by_the_wheel() -> None:
    """Hatch leaves out what git ignores."""
    names = [str(p) for p in STATIC.rglob("*") if p.is_file()]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout == ""
