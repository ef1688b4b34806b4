"""Start: ``voxloom --help``, and ``voxloom predict`` of one small file, imports included, against the imports alone.

    python benchmarks/start_times.py --run RUN [--repeats 5]

RUN is a trained run on hippocampus. ``import torch`` and ``import monai`` are what any tool of this kind waits for. Give
OMP_NUM_THREADS=1 on a busy machine: waiting threads burn processor time.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from pairs import DATA, OURS, PEERS, Side, Work, parser, report, run, table


def command(*words: str) -> Work:
    """A whole process."""

    def work() -> int:
        return subprocess.run(words, check=True, capture_output=True).returncode

    return work


def overview(options: argparse.Namespace) -> Work:
    return command(str(OURS), "-m", "voxloom", "--help")


def predict(options: argparse.Namespace) -> Work:
    scan = min((DATA / "hippocampus" / "imagesTr").glob("*.nii.gz"))
    return command(
        str(OURS), "-m", "voxloom", "predict", str(options.run), str(scan), "-o", tempfile.mkdtemp(), "--device", "cpu"
    )


def imports(python: Path, code: str) -> object:
    return lambda options: command(str(python), "-c", code)


def main() -> None:
    made = parser(__doc__, repeats=5)
    made.add_argument("--run", type=Path, required=True)
    options = made.parse_args()
    sides = [
        Side("voxloom predict", OURS, predict),
        Side("voxloom --help", OURS, overview),
        Side("import torch", OURS, imports(OURS, "import torch")),
        Side("import monai", PEERS, imports(PEERS, "import monai")),
        Side(
            "import nnU-Net's predictor",
            PEERS,
            imports(PEERS, "import nnunetv2.inference.predict_from_raw_data"),
        ),
    ]
    rounds = run(sides, options)
    if rounds is not None:
        report(options, table(rounds))


if __name__ == "__main__":
    main()
