"""The errors a user can correct, each told in one clear line.

Knows how a message is built: what is wrong, in which file, what to do. Does not know who prints it or which exit code
follows; the command line does.
"""

from __future__ import annotations

from pathlib import Path

_LONGEST = 1500


class VoxloomError(Exception):
    """Work that could not be finished, with a reason for people (exit code 1)."""


class BadInput(VoxloomError):
    """Input that Voxloom refuses (exit code 2).

    Parameters
    ----------
    what : the fault in one short clause, e.g. ``"3 slices are missing between 12.0 and 24.0 mm"``.
    where : the file, folder or recipe key that carries the fault.
    fix : what the user can do about it, best as a command.
    """

    def __init__(self, what: str, where: str | Path | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        text = f"{where}: {_one_line(what)}" if where is not None else _one_line(what)
        super().__init__(f"{text}. {fix}" if fix else text)

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, str | Path | None, str | None]]:
        """Between processes it travels by its parts, not by its text."""
        return type(self), (self.what, self.where, self.fix)


def _one_line(text: str) -> str:
    """What a library or a damaged file has to say may be pages long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


class MissingExtra(VoxloomError):
    """An optional part is not installed; the message names the extra to install."""

    def __init__(self, part: str, extra: str) -> None:
        self.part, self.extra = part, extra
        super().__init__(f"{part} is not installed. Install it with: pip install 'voxloom[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        """See ``BadInput``."""
        return type(self), (self.part, self.extra)
