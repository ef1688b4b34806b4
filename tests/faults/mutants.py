"""Damaged copies of files: bytes flipped, cut, moved and repeated, numbers and words exchanged, archives packed anew.

Knows how to damage, reproducibly: a mutant follows from the file and one random generator. Does not know who reads it.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import yaml

INTEGERS = (0, 1, -1, 2, 7, 127, 128, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**53, 2**63 - 1)
FLOATS = (0.0, -0.0, 1e-45, 1e38, -1e38, 1e308, float("nan"), float("inf"), float("-inf"))
WORDS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "00",
        "1_000",
        "٣",
        "0x10",
        "1e308",
        "nan",
        "-inf",
        "99999999999999999999",
        "3.5",
        "1e9",
        "None",
        "true",
    ),
    *(
        "\x00",
        "é",
        "\udcff",
        "..",
        "/",
        "/dev/zero",
        "../..",
        "C:\\",
        "~",
        "%s",
        "%d",
        "{}",
        "*",
        "&a [*a]",
        "LIST",
        "a" * 300,
    ),
)
#: Values that take the place of a part of a JSON or YAML document.
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        [],
        {},
        [[]],
        {"": {}},
        {"0": {"0": {}}},
        0,
        -1,
        2**70,
        1.5,
        float("nan"),
        float("inf"),
        -1e400,
    ),
    *(
        "",
        "\x00",
        "\ud800",
        "é" * 5000,
        "..",
        "/",
        "/dev/zero",
        "0",
        "٣",
        "2001-99-99",
        [None] * 3,
        ["a"] * 3,
        [0, 0, 0],
    ),
    *({"a": 1, "b": [2]}, [-1, 2**40, 0], [1e308, 1, 1], [2, "2", None]),
)

Mutate = Callable[[bytes, random.Random], bytes]


def bytewise(data: bytes, rng: random.Random) -> bytes:
    """One to four changes of bytes, three of four in the first 600, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(min(len(changed), 600) if rng.random() < 0.75 else len(changed)) if changed else 0
        rng.choice(_CHANGES)(changed, at, rng)
    return bytes(changed)


def _flip(data: bytearray, at: int, rng: random.Random) -> None:
    if data:
        data[at] ^= 1 << rng.randrange(8)


def _number(data: bytearray, at: int, rng: random.Random) -> None:
    code = rng.choice("bhiq")
    size = struct.calcsize(code)
    packed = (rng.choice(INTEGERS) % (1 << 8 * size)).to_bytes(size, rng.choice(("little", "big")))
    data[at : at + size] = packed


def _real(data: bytearray, at: int, rng: random.Random) -> None:
    value, code = rng.choice(FLOATS), rng.choice(("<f", "<d", ">f", ">d"))
    with_limits = max(-3e38, min(3e38, value)) if code[1] == "f" and abs(value) < float("inf") else value
    packed = struct.pack(code, with_limits)
    data[at : at + len(packed)] = packed


def _noise(data: bytearray, at: int, rng: random.Random) -> None:
    count = rng.randrange(1, 40)
    data[at : at + count] = rng.randbytes(count)


def _cut(data: bytearray, at: int, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _drop(data: bytearray, at: int, rng: random.Random) -> None:
    del data[at : at + rng.randrange(1, 200)]


def _insert(data: bytearray, at: int, rng: random.Random) -> None:
    data[at:at] = rng.choice((rng.randbytes(rng.randrange(1, 100)), bytes(rng.randrange(1, 5000)), b"\xff" * 16))


def _repeat(data: bytearray, at: int, rng: random.Random) -> None:
    data[at:at] = bytes(data[at : at + rng.randrange(1, 300)]) * rng.choice((1, 1, 50))


def _blank(data: bytearray, at: int, rng: random.Random) -> None:
    count = len(data[at : at + rng.randrange(1, 300)])
    data[at : at + count] = bytes([rng.choice((0, 255, 32))]) * count


_CHANGES = (_flip, _flip, _number, _number, _real, _noise, _cut, _drop, _insert, _repeat, _blank)


def wordwise(data: bytes, rng: random.Random) -> bytes:
    """One to three changes of words, numbers and lines of a text (of the first 4 KiB, where a text header lies)."""
    text, rest = data[:4096].decode("utf-8", "surrogateescape"), data[4096:]
    for _ in range(rng.choice((1, 1, 2, 3))):
        words = list(re.finditer(r"[\w.+-]+", text))
        lines = text.split("\n")
        choice = rng.random()
        if choice < 0.55 and words:
            word = rng.choice(words)
            new = rng.choice((rng.choice(WORDS), str(rng.choice(INTEGERS)), rng.choice(words).group()))
            text = text[: word.start()] + new + text[word.end() :]
        elif choice < 0.65:
            del lines[rng.randrange(len(lines))]
            text = "\n".join(lines)
        elif choice < 0.8:
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            text = "\n".join(lines)
        elif choice < 0.9:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice((*WORDS, "[" * 3000, "{" * 3000, '"', "'", ":", "\n", "\t")) + text[at:]
        else:
            return bytewise(text.encode("utf-8", "surrogateescape") + rest, rng)
    return text.encode("utf-8", "surrogatepass") + rest


def json_document(data: bytes, rng: random.Random) -> bytes:
    """A JSON document with one part exchanged, left out, or the text damaged."""
    if rng.random() < 0.35:
        return wordwise(data, rng)
    return json.dumps(_exchange(json.loads(data), rng)).encode("utf-8", "surrogatepass")


def yaml_document(data: bytes, rng: random.Random) -> bytes:
    """A YAML document with one part exchanged, left out, or the text damaged."""
    if rng.random() < 0.4:
        return wordwise(data, rng)
    text: str = yaml.dump(_exchange(yaml.safe_load(data), rng), allow_unicode=True)
    return text.encode("utf-8", "surrogatepass")


def _exchange(document: Any, rng: random.Random) -> Any:
    """Replace, rename or delete one to three random parts of nested lists and dictionaries."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            return rng.choice(VALUES)
        parent, key = rng.choice(places)
        choice = rng.random()
        if choice < 0.75:
            parent[key] = rng.choice(VALUES)
        elif choice < 0.85:
            del parent[key]
        elif isinstance(parent, dict):
            parent[rng.choice(WORDS)] = parent.pop(key)
        else:
            parent.append(parent[key])
    return document


def _places(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def gzipped(inner: Mutate) -> Mutate:
    """Mostly damages what is inside a gzip file and packs it again, so that the damage is not found by the check sum."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.15:
            return bytewise(data, rng)
        return gzip.compress(inner(gzip.decompress(data), rng), 1)

    return mutate


def zlib_after(mark: bytes, inner: Mutate) -> Mutate:
    """Damages the text header before ``mark``, or the compressed voxels after it."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        head, found, tail = data.partition(mark)
        if rng.random() < 0.8 or not found:
            return inner(head, rng) + found + tail
        try:
            return head + found + zlib.compress(bytewise(zlib.decompress(tail, 47), rng))
        except zlib.error:
            return head + found + bytewise(tail, rng)

    return mutate


def zipped(inner: Mutate) -> Mutate:
    """Damages one member of a zip file, or the zip file's own tables."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            at = max(0, len(data) - 300) if rng.random() < 0.6 else 0
            return data[:at] + bytewise(data[at:], rng)
        with zipfile.ZipFile(io.BytesIO(data)) as source:
            members = {name: source.read(name) for name in source.namelist()}
        victim = rng.choice(list(members))
        members[victim] = inner(members[victim], rng)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as target:
            for name, content in members.items():
                target.writestr(name, content)
        return packed.getvalue()

    return mutate
