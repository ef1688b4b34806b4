"""Names of files: which digits number channels, and what is clutter."""

from __future__ import annotations

import unicodedata

import pytest

from voxloom.dataset.names import NO_NUMBER, composed, is_clutter, number_channels, split_ending


@pytest.mark.parametrize(
    ("stems", "channels", "cases", "found"),
    [
        # one channel: digits belong to the name, but for _0000 everywhere
        (["scan_0001", "scan_0002"], 1, (), ["scan_0001", "scan_0002"]),
        (["scan_0000", "scan_0001"], 1, (), ["scan_0000", "scan_0001"]),
        (["P1_2021", "P1_2022", "P2_2021", "P2_2022"], 1, (), ["P1_2021", "P1_2022", "P2_2021", "P2_2022"]),
        (["a_0000", "b_0000"], 1, (), ["a:0", "b:0"]),
        (["a_0000", "b_0001"], 1, (), ["a_0000", "b_0001"]),
        (["a_0000", "a"], 1, (), ["a_0000", "a"]),
        (["a_0000", "a_0001", "b_0000", "b_0001"], 1, (), ["a:0", "a:1", "b:0", "b:1"]),
        # several channels
        (["p_0001", "p_0002"], 2, (), ["p:1", "p:2"]),
        (["P1_2021_0000", "P1_2021_0001"], 2, (), ["P1_2021:0", "P1_2021:1"]),
        (["P1_2021"], 3, (), ["P1_2021"]),
        # labels tell, also for the files without a label
        (
            ["amos_0001", "amos_0600", "amos_0002"],
            1,
            ("amos_0001", "amos_0600"),
            ["amos_0001", "amos_0600", "amos_0002"],
        ),
        (["amos_0001", "amos_0002"], None, ("amos_0001",), ["amos_0001", "amos_0002"]),
        (["a_0000", "b_0000", "amos_0002"], None, ("a",), ["a:0", "b:0", "amos_0002"]),
        (["a_0000", "a_0001", "b_0001"], None, ("a",), ["a:0", "a:1", "b:1"]),
        # nothing is known
        (["amos_0002", "amos_0003"], None, (), ["amos_0002", "amos_0003"]),
        (["a_0000", "a_0001"], None, (), ["a:0", "a:1"]),
        (["a_0001", "a_0002", "b_0001", "b_0002"], None, (), ["a:1", "a:2", "b:1", "b:2"]),
    ],
)
def test_digits_at_the_end(stems: list[str], channels: int | None, cases: tuple[str, ...], found: list[str]) -> None:
    numbers = number_channels(stems, channels, cases)
    told = [case if n == NO_NUMBER else f"{case}:{n}" for case, n in (numbers[stem] for stem in stems)]
    assert told == found


def test_clutter_endings_and_accents() -> None:
    names = ["._a.nii.gz", ".DS_Store", "Thumbs.db", "__MACOSX", "desktop.ini", "a.nii.gz", "case_DS_Store.nii"]
    assert [is_clutter(name) for name in names] == [True, True, True, True, True, False, False]
    assert split_ending("A.NII.GZ") == ("A", ".NII.GZ")
    assert split_ending("a.JPEG") == ("a", ".JPEG")
    assert split_ending("a.txt") == ("a.txt", "")
    assert composed(unicodedata.normalize("NFD", "Müller")) == unicodedata.normalize("NFC", "Müller")
