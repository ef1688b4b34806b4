import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "predict_memory.py"


@pytest.mark.parametrize("prepared_mm", [1.0, 1.25])
def test_memory_stays_far_below_all_labels_at_full_size(prepared_mm):
    """A scaled copy of the 512x512x600 case; all 21 maps at once would take 0.38 GiB as float32."""
    size = (128, 128, 300)
    command = [sys.executable, str(SCRIPT), "--size", *map(str, size), "--patch", "32", "32", "32"]
    result = subprocess.run(
        [*command, "--prepared-mm", str(prepared_mm)], capture_output=True, text=True, check=True, timeout=300
    )
    figures = json.loads(result.stdout)
    assert figures["size"] == list(size)
    assert figures["beyond_gib"] < 0.25
