"""A network compiled by ``torch.compile``, or as it is where that fails. Knows no training."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

Compile = Literal["kernels", "graphs"]
#: What ``torch.compile`` calls them; "graphs" records the kernels of a step once and plays them back (CUDA graphs).
_MODES = {"kernels": "default", "graphs": "reduce-overhead"}


class Called:
    """Calls a network in training, compiled where asked.

    The first call compiles, so it is there that a missing compiler or an unknown operation shows: the network is then called as it is,
    and ``fallback`` says why, in one line.

    Parameters
    ----------
    network : that is called; its weights stay its own.
    how : None, "kernels" or "graphs".
    """

    def __init__(self, network: nn.Module, how: Compile | None) -> None:
        self.fallback: str | None = None
        self._network, self._how, self._tried = network, how, False
        self._compiled: Any = None if how is None else torch.compile(network, mode=_MODES[how])

    def __call__(self, *inputs: Any) -> Any:
        """The output of the network in training."""
        if self._compiled is None:
            return self._network(*inputs)
        if self._tried:
            return self._step()(*inputs)
        self._tried = True
        try:
            return self._step()(*inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the compiler may fail in any way; the network itself is asked next
            self._compiled = None
            found = self._network(*inputs)
            first = (str(error).strip().splitlines() or [""])[0][:160]
            self.fallback = f"torch.compile failed ({type(error).__name__}: {first}); the network runs as it is"
            return found

    def _step(self) -> Any:
        if self._how == "graphs":
            torch.compiler.cudagraph_mark_step_begin()
        return self._compiled


class NotCompiled(RuntimeError):
    """A network that was to be timed compiled could not be; says why."""
