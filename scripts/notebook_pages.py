"""A hook of mkdocs: every notebook of docs/notebooks becomes a page with its text, code, outputs and pictures.

Knows Markdown and the outputs that notebooks keep. Runs no cell: ``scripts.notebooks`` does.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = "notebooks"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page per notebook, and its pictures beside it; the notebook itself can be downloaded."""
    for path in sorted((Path(config.docs_dir) / FOLDER).glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        parts, pictures = [], []
        for part in parts_of(notebook):
            if isinstance(part, str):
                parts.append(part)
                continue
            alt, content = part
            pictures.append(content)
            parts.append(f"![{alt}]({path.stem}/{len(pictures)}.png)")
        parts.append(f'[This page as a notebook]({path.name} "Download")')
        files.append(File.generated(config, f"{FOLDER}/{path.stem}.md", content="\n\n".join(parts) + "\n"))
        for number, content in enumerate(pictures, start=1):
            files.append(File.generated(config, f"{FOLDER}/{path.stem}/{number}.png", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to notebooks, which hold in the repository too, lead to their pages; those with a title to the files."""
    return re.sub(r"\]\(([\w./-]+)\.ipynb\)", r"](\1.md)", markdown)


def parts_of(notebook: dict[str, Any]) -> Iterator[str | tuple[str, bytes]]:
    """Markdown, and pictures as (what is seen, PNG), in the order of the cells."""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            continue
        yield f"```python\n{source}\n```"
        for output in cell["outputs"]:
            yield from output_parts(output, cell["metadata"].get("alt", "What the cell draws"))


def output_parts(output: dict[str, Any], alt: str) -> Iterator[str | tuple[str, bytes]]:
    """One output of a cell."""
    data = output.get("data", {"text/plain": output.get("text", [])})
    if "image/png" in data:
        yield alt, base64.b64decode(data["image/png"])
    elif "text/html" in data:
        yield f'<div class="output">{flat("".join(data["text/html"]))}</div>'
    else:
        yield "```text\n" + "".join(data["text/plain"]).rstrip("\n") + "\n```"


def flat(page: str) -> str:
    """HTML that Markdown leaves alone: no styles of its own, and no empty line that would end it."""
    return re.sub(r"\n\s*\n", "\n", re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL)).strip()
