"""A real Orthanc for a test: bound to loopback, on free ports, with a storage of its own, stopped by its process id.

Debian's Orthanc 1.10 listens on every address whatever its configuration says, and so does dcmtk's storescp: ``loopback_only``
gives the environment in which either can only be reached from this machine. Knows nothing of Voxloom.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_PLUGINS = Path("/usr/share/orthanc/plugins")
_SOURCE = Path(__file__).with_name("loopback.c")
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def tool(name: str) -> str:
    """Path of a program of Debian's; the test fails with the command that installs it, rather than being skipped."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        pytest.fail(f"{name} is not installed: make clinic-tools", pytrace=False)
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def loopback_only() -> dict[str, str]:
    """Environment for a server that is to be reachable from this machine only, with DCMTK's delay of small messages off."""
    return os.environ | {"LD_PRELOAD": str(_library()), "TCP_NODELAY": "1"}


def _library() -> Path:
    """The compiled ``loopback.c``, made once for each state of its source."""
    stamp = _SOURCE.stat()
    library = Path(tempfile.gettempdir()) / f"voxloom-loopback-{os.getuid()}-{stamp.st_mtime_ns}-{stamp.st_size}.so"
    if not library.exists():
        part = library.with_suffix(f".{os.getpid()}.part")
        subprocess.run([tool("cc"), "-shared", "-fPIC", "-O1", "-o", part, _SOURCE, "-ldl"], check=True)
        part.replace(library)
    return library


@dataclass
class Orthanc:
    """A running Orthanc. ``http`` and ``dicom`` are its ports, ``aet`` its AE title, ``folder`` holds all its files."""

    folder: Path
    http: int
    dicom: int
    aet: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Address of its REST interface."""
        return f"http://127.0.0.1:{self.http}"

    @property
    def dicom_web(self) -> str:
        """Address of its DICOMweb interface (QIDO-RS, WADO-RS, STOW-RS)."""
        return f"{self.url}/dicom-web"

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """The answer of its REST interface as JSON, or as bytes where it is not JSON; a body that is no bytes is sent as JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=content, method=method or ("GET" if body is None else "POST")
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            got = answer.read()
            return json.loads(got or b"null") if "json" in answer.headers.get("Content-Type", "") else got

    def upload(self, files: Iterable[Path]) -> list[str]:
        """Store DICOM files; returns Orthanc's ids of the instances."""
        return [self.ask("/instances", path.read_bytes())["ID"] for path in files]

    def find(self, level: str, **query: str) -> list[dict[str, Any]]:
        """Resources of a level ("Study", "Series", "Instance") whose DICOM attributes match, with their attributes."""
        return list(self.ask("/tools/find", {"Level": level, "Query": query, "Expand": True}))

    def instances(self, series: str) -> list[bytes]:
        """The DICOM files of a series, by Orthanc's id of it."""
        return [self.ask(f"/instances/{one['ID']}/file") for one in self.ask(f"/series/{series}/instances")]

    def knows(self, name: str, aet: str, port: int) -> None:
        """Tell it of a DICOM peer on this machine, to which it can then send."""
        self.ask(f"/modalities/{name}", {"AET": aet, "Host": "127.0.0.1", "Port": port}, method="PUT")

    def send(self, name: str, resource: str) -> None:
        """C-STORE a study, series or instance (Orthanc's id) to a peer that it knows; returns when all is sent."""
        self.ask(f"/modalities/{name}/store", {"Resources": [resource], "Synchronous": True})

    def empty(self) -> None:
        """Forget every patient."""
        for patient in self.ask("/patients"):
            self.ask(f"/patients/{patient}", method="DELETE")

    def stop(self) -> None:
        """End the process at once; the storage is thrown away with the test."""
        self.process.kill()
        self.process.wait()


def _configuration(folder: Path, http: int, dicom: int, aet: str) -> dict[str, Any]:
    return {
        "Name": aet,
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": aet,
        "DicomPort": dicom,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomAlwaysAllowGet": True,
        "UnknownSopClassAccepted": True,
        "StableAge": 1,
        "SyncStorageArea": False,
        "SynchronousCMove": True,
        "Plugins": [str(_PLUGINS / "libOrthancDicomWeb.so"), str(_PLUGINS / "libOrthancGdcm.so")],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


def _launch(folder: Path, aet: str) -> Orthanc:
    http, dicom = free_port(), free_port()
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(_configuration(folder, http, dicom, aet)))
    with (folder / "orthanc.log").open("ab") as log:
        process = subprocess.Popen(
            [tool("Orthanc"), str(configuration)], env=loopback_only(), stdout=log, stderr=log, cwd=folder
        )
    return Orthanc(folder, http, dicom, aet, process)


def _answers(server: Orthanc, seconds: float) -> bool:
    """Whether it answers before its process ends or the time is up."""
    until = time.monotonic() + seconds
    while server.process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return bool(server.ask("/system"))
        time.sleep(0.02)
    return False


def start(folder: Path, aet: str = "ORTHANC", tries: int = 5) -> Orthanc:
    """Start an Orthanc whose files lie in ``folder``; on other ports where somebody else was quicker to take one.

    Raises:
        RuntimeError: it does not start; the message holds the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(tries):
        server = _launch(folder, aet)
        if _answers(server, seconds=60):
            return server
        server.stop()
    raise RuntimeError("Orthanc does not start:\n" + (folder / "orthanc.log").read_text()[-2000:])


@contextlib.contextmanager
def running(folder: Path, aet: str = "ORTHANC") -> Iterator[Orthanc]:
    """An Orthanc for a ``with`` block."""
    server = start(folder, aet)
    try:
        yield server
    finally:
        server.stop()
