"""Changes of intensity, on a whole batch at once; a patch whose strength is neutral stays bit for bit as it is.

Each function takes the image (B, C, I, J, K) and one strength per patch, and returns a new image. Statistics are those
of one channel of one patch. Knows no randomness but the seed of the noise.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from voxloom.augment import separable
from voxloom.augment.sending import sent


def on_chosen(image: Tensor, chosen: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``change(patches, indices)`` in the place of the chosen (B,) patches; the image itself when none is chosen."""
    indices = torch.nonzero(chosen)[:, 0]
    if len(indices) == 0:
        return image
    if len(indices) == len(image):
        return change(image, indices)
    here = sent(indices, image.device)
    result = image.clone()
    result[here] = change(image[here], indices)
    return result


def per_patch(values: Tensor, image: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, 1, 1) on the image's device."""
    return sent(values, image.device).view(-1, 1, 1, 1, 1)


def soften(image: Tensor, sigma: Tensor, share: Tensor) -> Tensor:
    """Gaussian blur of ``sigma`` voxels, then sampling at ``share`` of the resolution and back.

    Sigma 0 and share 1 change nothing, and an axis of one voxel is left alone.
    """

    def change(x: Tensor, n: Tensor) -> Tensor:
        matrices = [separable.coarse_matrix(share[n], m) @ separable.gaussian_matrix(sigma[n], m) for m in x.shape[2:]]
        return separable.along_axes(x, [sent(m, x.device) for m in matrices])

    return on_chosen(image, (sigma > 0) | (share < 1), change)


def box_blur(image: Tensor, width: Tensor) -> Tensor:
    """Mean over ``width`` (B,) voxels along every axis of more than one voxel; 1 changes nothing."""

    def change(x: Tensor, n: Tensor) -> Tensor:
        return separable.along_axes(x, [sent(separable.box_matrix(width[n], m), x.device) for m in x.shape[2:]])

    return on_chosen(image, width != 1, change)


def motion_blur(image: Tensor, extent: Tensor) -> Tensor:
    """Mean along a straight line in the plane i j; extent (B, 2) voxels along i and j, 0 changes nothing."""

    def change(x: Tensor, n: Tensor) -> Tensor:
        planes, count = x.movedim(4, 2).flatten(1, 2), 2 * int(extent[n].norm(dim=1).max().ceil()) + 1
        lines, size = sent(extent[n], x.device), sent(torch.tensor(x.shape[2:4]), x.device)
        still = torch.eye(2, 3, device=x.device).expand(len(x), 2, 3).clone()
        total = torch.zeros_like(planes)
        for at in torch.linspace(-0.5, 0.5, count):
            moved = still.clone()
            moved[:, :, 2] = (2 * at * lines / size).flip(1)
            grid = functional.affine_grid(moved, list(planes.shape), align_corners=False)
            total += functional.grid_sample(planes, grid, padding_mode="border", align_corners=False)
        return (total / count).unflatten(1, (x.shape[1], x.shape[4])).movedim(2, 4)

    return on_chosen(image, (extent != 0).any(1), change)


def bias_field(image: Tensor, control: Tensor) -> Tensor:
    """Multiply by a smooth field exp(f), f inside the range of control (B, 1, 3, 3, 3).

    The darkest voxel counts as no signal and keeps its value, so that normalized images work as raw ones do.
    """

    def change(x: Tensor, n: Tensor) -> Tensor:
        field = sent(
            separable.along_axes(control[n], [separable.parabola_matrix(m) for m in x.shape[2:]]), x.device
        ).exp_()
        dark = x.amin((2, 3, 4), keepdim=True)
        return torch.addcmul(dark, x - dark, field)

    return on_chosen(image, (control != 0).flatten(1).any(1), change)


def gamma(image: Tensor, ln_gamma: Tensor) -> Tensor:
    """Power law between minimum and maximum; mean and standard deviation are kept."""

    def change(x: Tensor, n: Tensor) -> Tensor:
        flat = x.flatten(2)
        low, high = flat.amin(2, keepdim=True), flat.amax(2, keepdim=True)
        power = per_patch(ln_gamma[n].exp(), x)[..., 0, 0]
        y = ((flat - low) / (high - low).clamp(min=1e-6)).log_().mul_(power).exp_()
        mean, new_mean = flat.mean(2, keepdim=True), y.mean(2, keepdim=True)
        spread, new_spread = (torch.linalg.vector_norm(a, dim=2, keepdim=True) for a in (flat - mean, y - new_mean))
        factor = spread / new_spread.clamp(min=1e-6)
        return y.mul_(factor).add_(mean - new_mean * factor).view(x.shape)

    return on_chosen(image, ln_gamma != 0, change)


def linear(image: Tensor, factor: Tensor, addition: Tensor) -> Tensor:
    """Contrast about the mean by ``factor`` (1 leaves it), then ``addition`` (0 leaves it)."""

    def change(x: Tensor, n: Tensor) -> Tensor:
        f = per_patch(factor[n], x)
        return torch.addcmul(x.mean((2, 3, 4), keepdim=True) * (1 - f) + per_patch(addition[n], x), x, f)

    return on_chosen(image, (factor != 1) | (addition != 0), change)


def add_noise(image: Tensor, sd: Tensor, seed: int) -> Tensor:
    """Add Gaussian noise, drawn on the image's device from ``seed``."""

    def change(x: Tensor, n: Tensor) -> Tensor:
        generator = torch.Generator(x.device).manual_seed(seed)
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        return torch.addcmul(x, noise, per_patch(sd[n], x))

    return on_chosen(image, sd > 0, change)
