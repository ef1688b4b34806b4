"""Ranger: rectified Adam (Liu et al. 2020, PyTorch's own) with Lookahead (Zhang et al. 2019) around it.

The combination and its constants are Wright's (2019).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Ranger(torch.optim.RAdam):
    """Every ``every`` steps the weights return ``share`` of the way from where they last returned to; that is the new start.

    The slow weights lie in the optimizer's state, so ``state_dict`` carries them.

    Parameters
    ----------
    parameters : weights, or groups of them.
    lr, weight_decay : learning rate, and decay of the weights per unit of it (decoupled from the gradient).
    every, share : of Lookahead.
    """

    def __init__(
        self, parameters: Any, lr: float, weight_decay: float = 0.0, *, every: int = 6, share: float = 0.5
    ) -> None:
        super().__init__(
            parameters, lr=lr, betas=(0.95, 0.999), eps=1e-5, weight_decay=weight_decay, decoupled_weight_decay=True
        )
        self.every, self.share = every, share

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of rectified Adam, then Lookahead where it is due."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moved = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        starts: dict[Tensor, Tensor] = {p: p.detach().clone() for p in moved if "slow" not in self.state[p]}
        super().step()
        for p in moved:
            state = self.state[p]
            slow = state.setdefault("slow", starts.get(p))
            if int(state["step"]) % self.every == 0:
                slow.lerp_(p, self.share)
                p.copy_(slow)
        return loss
