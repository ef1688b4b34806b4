"""What people ask of a queue: to try a dead letter again, or to forget a series. Asked by files, so that no port is needed.

A wish lies in the queue's folder ``wishes`` until the node takes it, at once or at its next start. Knows no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxloom.errors import BadInput
from voxloom.files import read_json
from voxloom.serve.node.durable import write_json

Kind = Literal["retry", "forget"]
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Wish:
    """One wish.

    Parameters
    ----------
    key : of a series.
    task : what of it; None: all of it.
    """

    kind: Kind
    key: str
    task: str | None = None


def ask(queue: Path, wish: Wish) -> None:
    """Lay a wish into a queue."""
    name = f"{wish.kind}-{wish.key}-{wish.task or 'all'}.json"
    write_json(queue / "wishes" / name, {"kind": wish.kind, "key": wish.key, "task": wish.task})


def taken(queue: Path) -> Iterator[Wish]:
    """The wishes that lie in a queue; each is gone once the next is asked for. What is none is removed."""
    for path in sorted((queue / "wishes").glob("*.json")):
        try:
            value = read_json(path)
            if value["kind"] in ("retry", "forget") and _KEY.fullmatch(value["key"]):
                yield Wish(value["kind"], value["key"], value["task"])
        except (BadInput, KeyError, TypeError):
            pass
        path.unlink(missing_ok=True)
