"""Who may use a service: people with a token and a role, and sessions of browsers. Knows no HTTP.

A token file has a line per person: ``NAME TOKEN [ROLE]``, or a line with a token alone, which is nobody's in particular and may do
all.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxloom.errors import BadInput
from voxloom.yamltext import read_text

Role = Literal["view", "annotate", "lead"]
#: What each role may do, the lesser first.
ROLES: tuple[Role, ...] = ("view", "annotate", "lead")
#: Signs of a token at least, and seconds that a browser stays known.
SHORTEST, SESSION = 16, 12 * 3600
#: Failed log-ins of all callers together, within so many seconds, after which every further one is refused.
FAILURES, WINDOW = 20, 60.0
_NAME = re.compile(r"[\w.@-]{1,64}")
_MOST_SESSIONS = 1000


@dataclass(frozen=True)
class Person:
    """Who asks: a name ("" where nobody in particular) and a role."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether what that role may do is allowed."""
        return ROLES.index(self.role) >= ROLES.index(role)


#: Whoever asks a service without a token file: it is bound to loopback.
ANYBODY = Person("", "lead")


class People:
    """Who has which token.

    Parameters
    ----------
    tokens : (SHA-256 of a token, person); the tokens themselves are not kept.
    """

    def __init__(self, tokens: list[tuple[bytes, Person]]) -> None:
        self._tokens = tokens
        self._sessions: dict[bytes, tuple[Person, float]] = {}
        self._failures: list[float] = []
        self._lock = threading.Lock()

    @classmethod
    def of(cls, path: Path) -> People:
        """Read a token file.

        Raises
        ------
        BadInput : others may read it, a token is too short, or a line, name or role is wrong.
        """
        if not path.is_file():
            raise BadInput("there is no such file", path, "Make one: voxloom serve --help tells how")
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadInput("others may read the tokens", path, f"Run: chmod 600 {path}")
        lines = [line.split("#", 1)[0].split() for line in read_text(path).splitlines()]
        found = [_person(words, path, number) for number, words in enumerate(lines, start=1) if words]
        if not found:
            raise BadInput("holds no token", path, "Write a line: NAME TOKEN [view, annotate or lead]")
        if len({token for token, _ in found}) < len(found):
            raise BadInput("two people have one token", path, "Give each a token of their own")
        return cls(found)

    def by_token(self, token: str) -> Person | None:
        """Who has a token; None for an unknown one. Every token is compared, in constant time each."""
        digest, found = _digest(token), None
        for known, person in self._tokens:
            if hmac.compare_digest(known, digest):
                found = person
        return found

    def log_in(self, token: str) -> str | None:
        """A new session for a token; None for an unknown one.

        Raises
        ------
        BadInput : too many log-ins failed within a minute.
        """
        now = time.monotonic()
        with self._lock:
            self._failures = [when for when in self._failures if now - when < WINDOW]
            if len(self._failures) >= FAILURES:
                raise BadInput("too many log-ins failed", "token", "Wait a minute")
        person = self.by_token(token)
        with self._lock:
            if person is None:
                self._failures.append(now)
                return None
            session = secrets.token_urlsafe(32)
            self._sessions = {key: found for key, found in self._sessions.items() if found[1] > now}
            while len(self._sessions) >= _MOST_SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            self._sessions[_digest(session)] = (person, now + SESSION)
            return session

    def by_session(self, session: str) -> Person | None:
        """Whose browser it is; None for an unknown or old session."""
        with self._lock:
            person, until = self._sessions.get(_digest(session), (None, 0.0))
        return person if until > time.monotonic() else None

    def log_out(self, session: str) -> None:
        """Forget a session."""
        with self._lock:
            self._sessions.pop(_digest(session), None)


def _person(words: list[str], path: Path, number: int) -> tuple[bytes, Person]:
    """Hash of the token and person of one line."""
    where = f"{path}, line {number}"
    if len(words) == 1:
        name, token, role = "", words[0], "lead"
    elif len(words) in (2, 3):
        name, token, role = words[0], words[1], words[2] if len(words) == 3 else "annotate"
    else:
        raise BadInput("is not NAME TOKEN [ROLE]", where, "Names have no spaces")
    if role not in ROLES:
        raise BadInput(f"there is no role {role!r}", where, f"Take {', '.join(ROLES)}")
    if name and not _NAME.fullmatch(name):
        raise BadInput("the name has other signs than letters, digits and .@-_", where, "Choose another")
    if len(token) < SHORTEST:
        raise BadInput(f"the token has fewer than {SHORTEST} signs", where, "Make one: openssl rand -hex 24")
    return _digest(token), Person(name, role)  # type: ignore[arg-type]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
