#!/usr/bin/env bash
# All benchmarks, one after another, recorded in RESULTS.md; peers go into an environment of their own, with the same torch.
# With --quick every script runs at a reduced size and nothing is recorded: whether all of them work, in some minutes.
# VOXLOOM_PYTHON and PEERS_PYTHON name interpreters that are there already.
set -euo pipefail
cd "$(dirname "$0")/.."
export VOXLOOM_DATA="${VOXLOOM_DATA:-$PWD/../shared/data}" VOXLOOM_PYTHON="${VOXLOOM_PYTHON:-$PWD/.venv/bin/python}"
if [ -z "${PEERS_PYTHON:-}" ]; then
  export PEERS_PYTHON="$PWD/.venv-peers/bin/python"
  [ -x "$PEERS_PYTHON" ] || "$VOXLOOM_PYTHON" -m venv .venv-peers
  "$PEERS_PYTHON" -m pip install --quiet --requirement benchmarks/peers.txt
fi
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
QUICK=; [ "${1:-}" = --quick ] && QUICK=yes

# bench SCRIPT HEADING "options for a quick run" [options]: an empty heading where a script records nothing itself
bench() {
  local script=$1 heading=$2 quick=$3; shift 3
  echo "== $script $*" >&2
  if [ -n "$QUICK" ]; then
    "$VOXLOOM_PYTHON" "benchmarks/$script" "$@" $quick
  elif [ -n "$heading" ]; then
    "$VOXLOOM_PYTHON" "benchmarks/$script" "$@" --record "$heading"
  else
    "$VOXLOOM_PYTHON" "benchmarks/$script" "$@"
  fi
}

"$VOXLOOM_PYTHON" -m voxloom train "$VOXLOOM_DATA/hippocampus" -r auto --budget "$([ -n "$QUICK" ] && echo 20s || echo 2m)" -o "$WORK/run" --device cpu
bench training_step.py "Share of the processor's peak in a training step" "--repeats 1"
bench predict_case.py "Prediction of a small case" "--repeats 1 --cases 2" --run "$WORK/run"
bench windowed_prediction.py "Windowed prediction of a large volume" "--repeats 1 --size 128 128 96" --size 256 256 200
bench windowed_prediction.py "Windowed prediction with a single convolution" "--repeats 1 --size 128 128 96" --width 1
bench surface_metrics.py "Surface metrics against the peers" "--repeats 1" $([ -n "$QUICK" ] || echo --slow)
bench prepare_peers.py "Preparation against the peers" "--repeats 1 --cases 2"
bench augmented_batches.py "Augmented batches" "--repeats 1 --batches 1"
bench class_step.py "A training step of classes" "--repeats 1 --steps 8 --side 32"
bench mixed_scale.py "The mixed-scale dense network" "--repeats 1 --depth 12 --batch 1"
bench mixed_scale.py "The mixed-scale dense network in 3D" "--repeats 1 --depth 12" --dims 3
OMP_NUM_THREADS=1 bench start_times.py "Start" "--repeats 1" --run "$WORK/run"
OMP_NUM_THREADS=1 bench growth.py "Ten times the work" "--repeats 1"
bench store_formats.py "" ""
bench prepare.py "" "--repeats 1" --data "$VOXLOOM_DATA/hippocampus"
bench predict_memory.py "" "--size 128 128 100 --patch 32 32 32"
bench hippocampus.py "" "" --minutes "$([ -n "$QUICK" ] && echo 0.3 || echo 2)" --seeds $([ -n "$QUICK" ] && echo 0 || echo 0 1 2)
bench ray_overhead.py "" "--scans 8 --pairs 1"
bench ddp.py "" "--steps 5 --pairs 1"
bench many_rows.py "" "--rows 100000" --rows 20000000
bench scale.py "" ""
[ -n "$QUICK" ] || bench hippocampus.py "" "" --minutes 10 --seeds 0 1 2
