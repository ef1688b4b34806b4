"""Self-contained HTML pages from templates. Knows Jinja2; knows nothing of what a page says."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from voxloom.files import write_text


def render(template: str, values: dict[str, Any]) -> str:
    """HTML text; every value is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("voxloom.report"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(template).render(version=version("voxloom"), **values)


def write_page(path: Path, template: str, values: dict[str, Any]) -> Path:
    """Write a page, whole or not at all."""
    write_text(path, render(template, values))
    return path
