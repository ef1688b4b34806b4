"""Certificates of the machine itself, for tests of TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.serve.orthanc import tool


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key (PEM)."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    line = [
        tool("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    line += ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*line, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key
