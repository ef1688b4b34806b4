"""How long work tells how far it is; knows nothing of screens."""

from __future__ import annotations

from collections.abc import Callable

#: Called as ``progress(done, total)`` after every finished piece of work.
Progress = Callable[[int, int], None]
