#!/usr/bin/env bash
# All benchmarks, one after another, recorded in RESULTS.md; peers go into an environment of their own, with the same torch.
set -euo pipefail
cd "$(dirname "$0")/.."
PEERS=.venv-peers PYTHON=.venv/bin/python
export VOXLOOM_DATA="${VOXLOOM_DATA:-$PWD/../shared/data}"
[ -x "$PEERS/bin/python" ] || "$PYTHON" -m venv "$PEERS"
"$PEERS/bin/pip" install --quiet --requirement benchmarks/peers.txt
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
"$PYTHON" -m voxloom train "$VOXLOOM_DATA/hippocampus" -r auto --budget 2m -o "$WORK/run" --device cpu
"$PYTHON" benchmarks/training_step.py --record "Share of the processor's peak in a training step"
"$PYTHON" benchmarks/predict_case.py --run "$WORK/run" --record "Prediction of a small case"
"$PYTHON" benchmarks/windowed_prediction.py --record "Windowed prediction of a large volume"
"$PYTHON" benchmarks/windowed_prediction.py --width 1 --record "Windowed prediction with a single convolution"
"$PYTHON" benchmarks/surface_metrics.py --slow --record "Surface metrics against the peers"
"$PYTHON" benchmarks/prepare_peers.py --record "Preparation against the peers"
"$PYTHON" benchmarks/augmented_batches.py --record "Augmented batches"
OMP_NUM_THREADS=1 "$PYTHON" benchmarks/start_times.py --run "$WORK/run" --record "Start"
OMP_NUM_THREADS=1 "$PYTHON" benchmarks/growth.py --record "Ten times the work"
"$PYTHON" benchmarks/store_formats.py
"$PYTHON" benchmarks/prepare.py --data "$VOXLOOM_DATA/hippocampus"
"$PYTHON" benchmarks/predict_memory.py
"$PYTHON" benchmarks/hippocampus.py --minutes 2 --seeds 0 1 2
"$PYTHON" benchmarks/hippocampus.py --minutes 10 --seeds 0 1 2
