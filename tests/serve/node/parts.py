"""Parts of the node's tests: series to send, a peer that takes results and keeps them on disk, and who predicts without a network.

Run as a program it is a node in a process of its own, which tests may kill: ``python -m tests.serve.node.parts node.yaml PORT``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import yaml
from pydicom.uid import generate_uid

from tests.archive.make import AXIAL, header, save, uid
from voxloom.serve.node import Node, load_settings
from voxloom.serve.node.predicting import Made, Needs, StoppedError, Wanted
from voxloom.serve.node.store import states_in

ROOT = Path(__file__).parents[3]
NAME, PATIENT_ID = "Geheim^Gerda", "ID-4711-X"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def series(folder: Path, name: str, count: int = 5, size: int = 16, **keywords: Any) -> list[Path]:
    """DICOM files of one MR series; ``name`` decides its UIDs and pixels."""
    rng = np.random.default_rng(sum(map(ord, name)))
    own = {
        "SeriesInstanceUID": uid("series", name), "StudyInstanceUID": uid("study", name), "PatientName": NAME,
        "PatientID": PATIENT_ID, "ImageOrientationPatient": AXIAL, **keywords,
    }  # fmt: skip
    return [
        save(
            header(
                size,
                **{"SOPInstanceUID": uid("instance", name, n), **own},
                InstanceNumber=n + 1,
                ImagePositionPatient=[0, 0, 4 * n],
                PixelData=rng.integers(0, 1000, size * size, np.uint16).tobytes(),
            ),
            folder / f"{n:04d}.dcm",
        )
        for n in range(count)
    ]


class WithoutNetwork:
    """Predicts a picture that tells which series it saw and how many slices of it; ``fail`` is told of each order first.

    Of several channels the picture tells the slices of each, and the series of the first that there is.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        fail: Callable[[Wanted], None] = lambda wanted: None,
        takes: Needs = Needs(("T1", "T2")),
    ) -> None:
        self.seconds, self.fail, self.takes = seconds, fail, takes
        self.wanted: list[Wanted] = []

    def needs(self, run: str) -> Needs:
        return self.takes

    def predict(self, wanted: Wanted, timeout: float, stopping: threading.Event) -> Made:
        self.wanted.append(wanted)
        self.fail(wanted)
        if stopping.wait(self.seconds):
            raise StoppedError
        channels = sorted(path for path in wanted.scan.iterdir() if path.is_dir())
        counts = " ".join(f"{path.name[-4:]}:{len(list(path.iterdir()))}" for path in channels)
        files = sorted((channels[0] if channels else wanted.scan).iterdir())
        source = pydicom.dcmread(files[0], stop_before_pixels=True)
        made = header(
            8, SOPClassUID=SECONDARY_CAPTURE, SOPInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(), Modality="OT",
            StudyInstanceUID=source.StudyInstanceUID, PatientName=NAME,
            SeriesDescription=f"{wanted.run} {counts or len(files)}", DerivationDescription=source.SeriesInstanceUID,
        )  # fmt: skip
        return Made([save(made, wanted.out / "result.dcm")])


class Peer:
    """A Storage SCP that keeps what it gets in a folder, one file per SOPInstanceUID.

    Parameters
    ----------
    refuse : a status that the next instances are answered with; 0 takes them.
    """

    def __init__(self, folder: Path, tls: Any = None) -> None:
        from pynetdicom import AE, _config, evt

        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.refuse, self.offered = folder, 0, 0
        entity = AE("PEER")
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        entity.add_supported_context("1.2.840.10008.1.1")
        self.server: Any = entity.start_server(
            ("127.0.0.1", 0), block=False, ssl_context=tls, evt_handlers=[(evt.EVT_C_STORE, self._stored)]
        )
        self.port = int(self.server.server_address[1])

    def _stored(self, event: Any) -> int:
        self.offered += 1
        if self.refuse:
            return self.refuse
        coming = self.folder / f"{event.request.AffectedSOPInstanceUID}.part"
        coming.write_bytes(event.encoded_dataset())
        coming.rename(coming.with_suffix(".dcm"))  # whole before it is looked at
        return 0

    def results(self) -> dict[str, list[str]]:
        """By the source series: descriptions of the results for it."""
        found: dict[str, list[str]] = {}
        for path in self.folder.glob("*.dcm"):
            one = pydicom.dcmread(path, stop_before_pixels=True)
            found.setdefault(one.DerivationDescription, []).append(one.SeriesDescription)
        return found

    def close(self) -> None:
        self.server.shutdown()


@dataclass
class Place:
    """A folder with the settings of a node."""

    folder: Path
    peer: Peer

    @property
    def settings(self) -> Path:
        return self.folder / "node.yaml"

    @property
    def queue(self) -> Path:
        return self.folder / "queue"

    def write(self, **changes: Any) -> Path:
        """Settings that send all MR to the peer; ``changes`` replace their sections."""
        values = {
            "stable": 0.7,
            "destinations": {"pacs": {"aet": "PEER", "host": "127.0.0.1", "port": self.peer.port, "timeout": 5}},
            "rules": [{"name": "all", "where": {"Modality": "MR"}, "run": "net", "to": ["pacs"]}],
            "retry": {"first": 0.1, "most": 0.5, "attempts": 4},
            "predict": {"first": 0.1, "attempts": 2},
            "limits": {"disk_free": "1MB"},
            **changes,
        }
        self.settings.write_text(yaml.safe_dump(values), encoding="utf-8")
        return self.settings

    def node(self, engine: Any = None) -> Node:
        """A running node in this process."""
        settings = load_settings(self.settings)
        found = Node(
            settings, engine or WithoutNetwork(), aet="VOXLOOM", host="127.0.0.1", port=0, source=self.settings
        )
        found.start()
        return found

    def states(self) -> list[str]:
        """The states of all tasks in the queue."""
        return sorted(task.state for one in states_in(self.queue) for task in one.state.tasks)

    def audit(self) -> str:
        """The audit log."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted((self.queue / "audit").iterdir()))


def until(true: Callable[[], Any], seconds: float = 15.0) -> None:
    """Wait for something that must come true. The node tells and counts what it did after the state is on the disk: wait for both."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def send(
    port: int,
    files: Sequence[Path],
    aet: str = "VOXLOOM",
    calling: str = "SENDER",
    tls: Any = None,
    told: Callable[[int], None] = lambda status: None,
) -> list[int]:
    """C-STORE files over one association, each as it is; the statuses, fewer where it ends. ``told`` hears each at once."""
    from pynetdicom import AE, evt

    entity = AE(calling)
    entity.network_timeout = entity.dimse_timeout = entity.acse_timeout = 20
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    for kind, syntax in {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in headers}:
        entity.add_requested_context(kind, syntax)
    association = entity.associate(
        "127.0.0.1", port, ae_title=aet, tls_args=tls, evt_handlers=[(evt.EVT_CONN_OPEN, _no_delay)]
    )
    answers: list[int] = []
    if not association.is_established:
        return answers
    for path in files:
        try:
            answer = association.send_c_store(path)
        except RuntimeError:
            break
        if "Status" not in answer:
            break
        answers.append(answer.Status)
        told(answer.Status)
    association.release()
    return answers


def _no_delay(event: Any) -> None:
    import socket

    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@dataclass
class Process:
    """A node in a process of its own."""

    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, settings: Path, port: int, seconds: float) -> Process:
        """Start one, whose predictions take so long; returns when it listens."""
        command = [sys.executable, "-m", "tests.serve.node.parts", str(settings), str(port), str(seconds)]
        found = cls(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        assert found.process.stdout is not None
        line = found.process.stdout.readline()
        assert line == b"ready\n", found.process.communicate()[1].decode()
        return found

    def kill(self) -> None:
        """End it as a power cut would, without a word."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> bytes:
        """End it in order; what it said on the screen."""
        self.process.send_signal(signal.SIGTERM)
        return b"".join(self.process.communicate(timeout=30))


def main() -> None:
    """A node whose predictions take a while; ends in order on SIGTERM."""
    path, port, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    node = Node(load_settings(path), WithoutNetwork(seconds), aet="VOXLOOM", host="127.0.0.1", port=port, source=path)
    node.start()
    print("ready", flush=True)
    ended.wait()
    node.close()
    os._exit(0)


if __name__ == "__main__":
    main()
