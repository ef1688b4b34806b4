"""A training step (forward, backward) of the mixed-scale dense network against the same chain of convolutions in plain PyTorch.

    python benchmarks/mixed_scale.py [--dims 2] [--depth 100] [--batch 8]

128 x 128 pixels (16 slices in 3D, batch 1), width 1, dilations 1 to 10, instance norm and LeakyReLU. The plain chain concatenates all
channels before every layer and leaves differentiation to PyTorch. Both in the precision that the planner may use on this
machine, with the same weights; the mean square of the result shows that both do the same.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from pairs import OURS, Side, Work, parser, report, run, spread, table


def step_of(options: argparse.Namespace, plain: bool) -> Work:
    import torch

    from voxloom.inference.precision import TOLERABLE, bf16_slowdown
    from voxloom.networks import MixedScaleSettings, build_network

    settings = MixedScaleSettings(kind="msd", dims=options.dims, in_channels=1, out_channels=3, depth=options.depth)
    network: Any = build_network(settings, seed=0)
    size = (options.batch, 1, 128, 128) if options.dims == 2 else (1, 1, 128, 128, 16)
    image = torch.randn(size, generator=torch.Generator().manual_seed(0))
    half = bf16_slowdown("cpu") <= TOLERABLE

    def work() -> float:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = chain(network, image) if plain else network(image)
        loss = logits.float().square().mean()
        loss.backward()
        return float(loss.detach())

    return work


def chain(network: Any, image: Any) -> Any:
    """The network's definition: every layer convolves the concatenation of all before."""
    import torch
    from torch.nn import functional

    convolve = functional.conv2d if image.ndim == 4 else functional.conv3d
    channels = image
    for n, layer in enumerate(network.layers):
        kernel, weight, bias = network.dense[3 * n : 3 * n + 3]
        found = convolve(channels, kernel, padding=layer.dilation, dilation=layer.dilation)
        found = functional.leaky_relu(functional.instance_norm(found.float(), weight=weight, bias=bias), 0.01)
        channels = torch.cat([channels, found.to(channels.dtype)], dim=1)
    return network.head(channels)


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("--dims", type=int, choices=(2, 3), default=2)
    made.add_argument("--depth", type=int, default=100)
    made.add_argument("--batch", type=int, default=8)
    options = made.parse_args()
    sides = [
        Side("Voxloom", OURS, partial(step_of, plain=False)),
        Side("plain PyTorch", OURS, partial(step_of, plain=True)),
    ]
    rounds = run(sides, options)
    if rounds is None:
        return
    squares = ", ".join(f"{name} {spread([s.result for s in samples], 4)}" for name, samples in rounds.items())
    report(options, f"{table(rounds)}\n\nMean square of the logits: {squares}.")


if __name__ == "__main__":
    main()
