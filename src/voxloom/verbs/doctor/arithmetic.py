"""A tiny training step in every precision on every device, in a process of its own: a wrong build of torch may end it.

``python -m voxloom.verbs.doctor.arithmetic`` prints a line of JSON per step that was tried.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from typing import Any

from voxloom.verbs.doctor.finding import Finding, State

#: Precision of a recipe (``training.precision``) in words.
PRECISIONS = {"fp32": "float32", "bf16": "bfloat16"}
#: Seconds after which the steps are given up.
PATIENCE = 180


def arithmetic_findings() -> list[Finding]:
    """A finding per device and precision."""
    asked = [sys.executable, "-m", "voxloom.verbs.doctor.arithmetic"]
    try:
        ran = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return [Finding("arithmetic", "training step", State.fault, f"took over {PATIENCE} s", "Is the machine busy?")]
    found = [finding_of(json.loads(line)) for line in ran.stdout.splitlines() if line.startswith("{")]
    return found if ran.returncode == 0 else [*found, death(ran.returncode, ran.stderr)]


def death(code: int, said: str) -> Finding:
    """What ended the process."""
    last = said.strip().splitlines()[-1:] or [""]
    text = f"ended by {signal.Signals(-code).name}" if code < 0 else last[0]
    fix = "Install torch again for this CPU and driver: pip install --force-reinstall torch"
    return Finding("arithmetic", "training step", State.fault, text, fix)


def finding_of(tried: dict[str, Any]) -> Finding:
    """A step that was tried, in words."""
    name = f"training step, {tried['precision']} on {tried['device']}"
    if tried["error"]:
        state = State.fault if tried["precision"] == "fp32" else State.note
        return Finding("arithmetic", name, state, tried["error"], "Install torch again, or set `device: cpu`")
    if tried["slowdown"] is not None:
        text = f"works, but {tried['slowdown']:.0f} times slower than fp32; plans take fp32"
        return Finding("arithmetic", name, State.note, text)
    return Finding("arithmetic", name, State.ok, f"loss falls from {tried['before']:.3f} to {tried['after']:.3f}")


def try_step(device: str, precision: str) -> dict[str, Any]:
    """A few steps of a small network on one patch; the loss before and after, or what went wrong."""
    from voxloom.inference.precision import TOLERABLE, bf16_slowdown

    tried: dict[str, Any] = {"device": device, "precision": precision, "error": None, "slowdown": None}
    try:
        before, after = losses(device, precision)
        slow = bf16_slowdown(device) if precision == "bf16" else 0.0
    except Exception as error:
        return {**tried, "error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    if not (math.isfinite(before) and after < before):
        return {**tried, "error": f"the loss goes from {before:.3g} to {after:.3g}: this arithmetic is wrong"}
    return {
        **tried,
        "before": before,
        "after": after,
        "slowdown": slow if math.isfinite(slow) and slow > TOLERABLE else None,
    }


def losses(device: str, precision: str, steps: int = 8) -> tuple[float, float]:
    """Loss of the first and the last of a few steps on one patch (1, 1, 16, 16, 16) with a bright cube in it."""
    import torch

    from voxloom.losses import SegmentationLoss
    from voxloom.networks import NetworkSettings, build_network
    from voxloom.optim import make_optimizer
    from voxloom.training.arithmetic import cast

    three = ((1, 1, 1), (2, 2, 2), (2, 2, 2))
    settings = NetworkSettings(
        dims=3, in_channels=1, out_channels=2, features=(4, 8, 8), strides=three, kernels=((3, 3, 3),) * 3
    )
    network = build_network(settings, seed=0).to(device).train()
    target = torch.zeros(1, 16, 16, 16, dtype=torch.long, device=device)
    target[:, 4:12, 4:12, 4:12] = 1
    image, loss = target[:, None].float() * 2 - 0.5, SegmentationLoss("dice_ce", count=2).to(device)
    optimizer = make_optimizer(network.parameters(), "adamw", lr=0.01, weight_decay=0.0)
    found = []
    for _ in range(steps):
        with cast(precision, torch.device(device)):
            value = loss(network(image), target)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        found.append(float(value.detach()))
    return found[0], found[-1]


def main() -> None:
    """Try every precision on every device that is there."""
    import torch

    for device in ("cpu", *(("cuda",) if torch.cuda.is_available() else ())):
        for precision in PRECISIONS:
            print(json.dumps(try_step(device, precision)), flush=True)


if __name__ == "__main__":
    main()
