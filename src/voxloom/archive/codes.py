"""Texts of a header that may stay: standard terms and the codes of the makers, and nothing that could hold a name.

DICOM calls many elements codes (CS) or short texts (SH, LO), but stations let people type into them. An element stays
only for values that are listed in codes.yaml or have a form without room for words; every other value goes.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from voxloom.yamltext import read_yaml

_KERNEL = re.compile(
    r"[A-Z][a-z]?\d{2}[a-z]{0,2}|FC\d{2}(-\w{1,2})?|[1-9]|[ABCDEFGHILOP]|CB|CC|CG|EB|EC|FB|SB|U[ABC]|Y[ABCDFG]"
    r"|(HD )?(STANDARD|STND|SOFT|BONE|BONEPLUS|LUNG|DETAIL|EDGE|CHST|CHEST|ULTRA)( ?PLUS)?|BODY|HEAD|BRAIN|SHARP|SMOOTH"
)
_SEQUENCE = re.compile(
    r"\*?(tse|tfl|fl|se|fse|fi|qfi|re|ge|gre|tir|tirm|spc|spcR|spcir|tgse|ep|epse|epfid|resolve|h|hsf|haste|ciss|de|me|swi|mdixon|"
    r"tf|trufi|vibe|pc|csi|mbep|FFE|TFE|TSE|SE|FSE|EPI|GRE|FGRE|FSPGR|EFGRE3D|3DT1|T1TFE|FFEEPI|DwiSE)"
    r"([23]d|\d+|_|#|-|rr|rb|ns|ti|ir|rs|vfl|diff|st|[brstvp])*"
)
_FORMS: dict[str, re.Pattern[str]] = {
    "ConvolutionKernel": _KERNEL,
    "SequenceName": _SEQUENCE,
    "StackID": re.compile(r"\d{1,4}"),
    "ImagedNucleus": re.compile(
        r"(1H|2H|3HE|7LI|13C|15N|17O|19F|23NA|31P|39K|129XE|H1|C13|F19|NA23|P31|XE129)", re.IGNORECASE
    ),
    "SpecificCharacterSet": re.compile(r"(ISO[ _]IR \d{1,3}|ISO 2022 IR \d{1,3}|GB18030|GBK)?"),
    "FilterType": re.compile(
        r"(WEDGE|BUTTERFLY|FILTER|TYPE)?[ _]?\d{1,2}"
        r"|(BODY|HEAD|LARGE|MEDIUM|SMALL)( (BODY|HEAD))?( (BOWTIE|FILTER))?( FILTER)?"
    ),
}
_NUMBERED = re.compile(r"(mr|ct|pet)?\d{0,4}(\.\d)?[a-z]?\+?")


def code_of(keyword: str, value: str) -> str | None:
    """A value of an element of codes as it may stay, None for one that may not (or an element that holds no codes)."""
    text = value.strip()
    if keyword == "Manufacturer":
        return text if _only(text, _terms("makers")) else None
    if keyword == "ManufacturerModelName":
        return text if _only(text, _terms("models") | _terms("makers")) else None
    if text in _terms("ImageType" if keyword == "FrameType" else keyword):
        return text
    pattern = _FORMS.get(keyword)
    return text if pattern is not None and pattern.fullmatch(text) else None


@cache
def _terms(name: str) -> frozenset[str]:
    words = _table().get(name, "").split()
    return frozenset(word.replace("~", " ") for word in words)


@cache
def _table() -> dict[str, str]:
    text = (resources.files("voxloom.archive") / "codes.yaml").read_text(encoding="utf-8")
    return {str(name): str(words) for name, words in read_yaml(text, "codes.yaml").items()}


def _only(text: str, known: frozenset[str]) -> bool:
    """Whether every word is known, or a short code of digits such as 64, 1.5T or MR750w."""
    words = re.split(r"[\s,/()_-]+", text.lower())
    return bool(text) and all(word in known or _NUMBERED.fullmatch(word) for word in words)
