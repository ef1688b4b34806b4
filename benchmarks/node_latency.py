"""One series through a DICOM node: from the first image to the DICOM SEG in the PACS, in parts.

    python -m benchmarks.node_latency [--slices 200] [--size 512] [--rounds 5] [--run RUN]

The node (``voxloom serve --dicom``) runs as a process of its own with a real engine; the sender is DCMTK's ``storescu`` with
TCP_NODELAY, the PACS a Storage SCP that keeps what it gets. RUN is a trained segmentation run of one channel; without one, a run of
a few steps is trained on spheres. Parts are those of the node's audit log: received (association accepted to released),
stable age (waiting, not work: reported, and taken off), predicted (decoding, the network, the SEG and its fsync), sent. From voxels
to the answer (resampling and the network) is what ``predict`` tells as its seconds, and is taken off too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from tests.serve.orthanc import free_port, tool

#: Hounsfield units of a stored 0.
_INTERCEPT = -1024


def ct_series(folder: Path, slices: int, size: int, number: int) -> Path:
    """A CT-like series: a bright ball in noise."""
    from voxloom.formats.dicom import write_series
    from voxloom.volume import Volume

    rng = np.random.default_rng(number)
    data = np.round(rng.normal(-50, 20, (1, size, size, slices))).astype(np.int16)
    i, j, k = np.ogrid[:size, :size, :slices]
    ball = (i - size / 2) ** 2 + (j - size / 2) ** 2 + ((k - slices / 2) * 3) ** 2 < (size / 4) ** 2
    data[0][ball] += 150
    data += -_INTERCEPT  # scanners store no negative numbers
    affine = np.diag([0.7, 0.7, 2.0, 1.0])
    target = folder / f"series{number}"
    for path in write_series(Volume(data, affine, {"modality": "CT"}), target):
        slice_ = pydicom.dcmread(path)
        slice_.RescaleIntercept = _INTERCEPT
        slice_.save_as(path)
    return target


def trained(folder: Path) -> Path:
    """A segmentation run of a few steps, on a grid so coarse that its network is quick."""
    from tests.serve.conftest import FEW_STEPS
    from tests.study.conftest import write_balls

    from voxloom.dataset import Dataset
    from voxloom.recipe.recipe import Recipe
    from voxloom.verbs.train import train

    data = write_balls(folder / "data", 6)
    recipe = Recipe.load("auto").changed({**FEW_STEPS, "prepare.spacing": [12.0, 12.0, 12.0]})
    train(Dataset(data), recipe, out=folder / "run")
    return folder / "run"


def events(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def seconds(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def last(log: Path, name: str) -> dict[str, Any]:
    return next(event for event in reversed(events(log)) if event["event"] == name)


def main() -> int:
    from tests.serve.node.parts import Peer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stable", type=float, default=1.0)
    parser.add_argument("--run", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="node-") as name:
        folder = Path(name)
        peer = Peer(folder / "peer")
        run = options.run or trained(folder)
        settings = folder / "node.yaml"
        settings.write_text(
            json.dumps(
                {
                    "stable": options.stable,
                    "destinations": {"pacs": {"aet": "PEER", "host": "127.0.0.1", "port": peer.port}},
                    "rules": [{"name": "all", "run": run.name, "to": ["pacs"]}],
                    "limits": {"disk_free": "1MB"},
                }
            )
        )
        port, log = free_port(), folder / "queue" / "audit" / "audit.jsonl"
        node = subprocess.Popen(
            [sys.executable, "-m", "voxloom", "serve", str(run), "--dicom", str(port), "--node", str(settings)]
        )
        while not log.exists():
            time.sleep(0.1)
        rows = []
        for number in range(options.rounds + 1):  # the first opens the networks, and is not counted
            series = ct_series(folder, options.slices, options.size, number)
            line = [tool("storescu"), "+sd", "-aec", "VOXLOOM", "127.0.0.1", str(port), str(series)]
            subprocess.run(line, check=True, env={**os.environ, "TCP_NODELAY": "1"})
            while sum(event["event"] == "sent" for event in events(log)) <= number:
                time.sleep(0.05)
            rows.append(parts(log, options.stable))
        node.send_signal(signal.SIGTERM)
        node.wait()
        names = list(rows[0])
        print(f"{options.slices} images of {options.size} x {options.size}, medians of {options.rounds} in seconds")
        for part in names:
            values = [row[part] for row in rows[1:]]
            print(f"{part:42} {statistics.median(values):6.2f}   ({min(values):.2f} to {max(values):.2f})")
        peer.close()
    return 0


def parts(log: Path, stable: float) -> dict[str, float]:
    """Seconds of each part of the last series."""
    begun, received = seconds(last(log, "association accepted")), seconds(last(log, "association released"))
    ready, predicted, sent = last(log, "series ready"), last(log, "predicted"), last(log, "sent")
    network = predicted.get("network seconds", 0.0)
    whole = seconds(sent) - begun
    return {
        "receive (fsync of each image)": received - begun,
        "wait for the stable age": seconds(ready) - received,
        "decode, SEG, fsync": predicted["seconds"] - network,
        "from voxels to the answer": network,
        "send (C-STORE)": sent["seconds"],
        "first image to SEG stored": whole,
        "the same without stable age and answer": whole - network - stable,
    }


if __name__ == "__main__":
    sys.exit(main())
