#!/usr/bin/env bash
# All benchmarks, one after another; peers go into an environment of their own, with the same torch.
set -euo pipefail
cd "$(dirname "$0")/.."
PEERS=.venv-peers
[ -x "$PEERS/bin/python" ] || python3 -m venv "$PEERS"
"$PEERS/bin/pip" install --quiet --constraint constraints.txt torch monai nibabel numpy medpy surface-distance
.venv/bin/python benchmarks/store_formats.py
.venv/bin/python benchmarks/prepare.py
.venv/bin/python benchmarks/predict_memory.py
.venv/bin/python benchmarks/surface_metrics.py
.venv/bin/python benchmarks/hippocampus.py --minutes 2 --seeds 0 1 2
.venv/bin/python benchmarks/hippocampus.py --minutes 10 --seeds 0 1 2
