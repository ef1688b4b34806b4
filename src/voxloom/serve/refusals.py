"""Refusals that a service tells apart: each is a BadInput, and HTTP has a status for it."""

from __future__ import annotations

from voxloom.errors import BadInput


class NotThere(BadInput):
    """Something with that name does not exist (404)."""


class NotAllowed(BadInput):
    """Who asks may not do that (403)."""


class TooLarge(BadInput):
    """More bytes than the service takes (413)."""


class Conflict(BadInput):
    """It cannot be done as things stand now (409)."""
