"""The softmax of scores in either memory layout."""

from __future__ import annotations

import pytest
import torch

from voxloom.inference.forward import softmax


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("size", [1.0, 1e6])
def test_softmax_is_that_of_pytorch_in_either_layout(interleaved: bool, size: float) -> None:
    planar = size * torch.randn(4, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    logits = planar.movedim(0, -1).contiguous().movedim(-1, 0) if interleaved else planar
    assert (logits.stride(0) == 1) is interleaved
    before = logits.clone()
    found = softmax(logits, 0)
    torch.testing.assert_close(found, torch.softmax(planar, dim=0), rtol=1e-5, atol=1e-7)
    assert torch.equal(logits, before)
