"""The audit log turns over, and tells of libraries only where they spoke."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from voxloom.serve.node.audit import AuditLog, LibraryLog


def test_the_log_turns_over_and_the_oldest_file_goes(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit" / "audit.jsonl", size=1000, files=3)
    for number in range(100):
        log.tell("sent", series="k", attempts=number, why=None)
    log.close()
    files = sorted((tmp_path / "audit").iterdir())
    assert [path.name for path in files] == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    assert all(path.stat().st_size <= 1000 for path in files)
    lines = [json.loads(line) for path in reversed(files) for line in path.read_text().splitlines()]
    assert [line["attempts"] for line in lines] == list(range(100 - len(lines), 100))
    assert "why" not in lines[0]


def test_a_librarys_words_are_not_logged(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", size=10_000, files=2)
    logger = logging.getLogger("voxloom.test.library")
    logger.addHandler(LibraryLog(log))
    logger.propagate = False
    try:
        raise ValueError("Geheim^Gerda")
    except ValueError:
        logger.exception("odd value Geheim^Gerda")
    logger.info("not even this")
    log.close()
    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert "Geheim" not in line
    assert json.loads(line)["exception"] == "ValueError"
    assert json.loads(line)["place"].startswith("test_audit:")
