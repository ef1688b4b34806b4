#!/usr/bin/env bash
# What a graphics card does, in at most ten minutes: correctness first, then speed, then accuracy against nnU-Net in the same time.
#
#     benchmarks/gpu/run.sh [--device cuda:0] [--minutes 10] [--again] [--record]
#     benchmarks/gpu/run.sh --device cpu --short        # the logic of every part, in seconds, without a card
#
# Parts that are done are kept in benchmarks/gpu/results.json (--results), so a second call goes on where the first ended. What is
# missing is installed by pip: Voxloom itself, and nnunetv2 for the comparison (not with --short). VOXLOOM_PYTHON names an interpreter
# that is there already, $VOXLOOM_DATA the folder with Task04_Hippocampus.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON="${VOXLOOM_PYTHON:-$PWD/.venv/bin/python}"
if [ ! -x "$PYTHON" ]; then
  python3 -m venv .venv
  PYTHON="$PWD/.venv/bin/python"
fi
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" VOXLOOM_DATA="${VOXLOOM_DATA:-$PWD/../shared/data}"
"$PYTHON" -c "import torch, lightning, monai" 2>/dev/null || "$PYTHON" -m pip install --quiet --constraint constraints.txt --editable .
case " $* " in
  *" --short "*) ;;
  *) "$PYTHON" -c "import nnunetv2" 2>/dev/null || "$PYTHON" -m pip install --quiet nnunetv2==2.8.1 ||
       echo "nnunetv2 could not be installed: its parts will be left out" >&2 ;;
esac
exec "$PYTHON" benchmarks/gpu/suite.py "$@"
