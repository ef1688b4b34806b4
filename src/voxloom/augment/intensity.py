"""Changes of intensity, on a whole batch at once; a sample whose strength is neutral stays bit for bit as it is.

Each function takes the image (B, C, I, J, K) and one parameter per sample, and knows no randomness but the noise it is given.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_AXES = (1, 2, 3, 4)


def per_sample(values: Tensor, image: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, 1, 1) on the image's device."""
    return values.to(image.device).view(-1, 1, 1, 1, 1)


def on_selected(image: Tensor, selected: Tensor, changed: Tensor) -> Tensor:
    """``changed`` (of the selected samples) in place of theirs."""
    result = image.clone()
    result[selected] = changed
    return result


def gamma(image: Tensor, ln_gamma: Tensor) -> Tensor:
    """Power law between each sample's minimum and maximum; mean and standard deviation are kept."""
    chosen = torch.nonzero(ln_gamma != 0)[:, 0]
    if len(chosen) == 0:
        return image
    x = image[chosen]
    low, high = x.amin(_AXES, keepdim=True), x.amax(_AXES, keepdim=True)
    span = (high - low).clamp(min=1e-6)
    mean, sd = x.mean(_AXES, keepdim=True), x.std(_AXES, keepdim=True)
    y = ((x - low) / span).pow(per_sample(ln_gamma[chosen].exp(), image))
    y = (y - y.mean(_AXES, keepdim=True)) / y.std(_AXES, keepdim=True).clamp(min=1e-6) * sd + mean
    return on_selected(image, chosen, y)


def linear(image: Tensor, factor: Tensor, addition: Tensor) -> Tensor:
    """image * factor + addition, per sample."""
    if bool((factor == 1).all()) and bool((addition == 0).all()):
        return image
    return image * per_sample(factor, image) + per_sample(addition, image)


def add_noise(image: Tensor, sd: Tensor, noise: Tensor) -> Tensor:
    """Add standard normal ``noise`` of the image's shape, scaled per sample."""
    return image + noise.to(image.device) * per_sample(sd, image) if bool((sd > 0).any()) else image


def blur(image: Tensor, sigma: Tensor, flat: bool) -> Tensor:
    """Separable Gaussian of ``sigma`` voxels per sample (0 leaves it), not along the third axis of single slices."""
    chosen = torch.nonzero(sigma > 0)[:, 0]
    if len(chosen) == 0:
        return image
    x = image[chosen]
    radius = int(torch.ceil(3 * sigma.max()))
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernels = torch.exp(-(at**2) / (2 * sigma[chosen, None] ** 2))
    kernels = (kernels / kernels.sum(1, keepdim=True)).to(image.device)
    b, c = x.shape[:2]
    y = x.reshape(1, b * c, *x.shape[2:])
    for axis in range(2 if flat else 3):
        shape = [b * c, 1, 1, 1, 1]
        shape[2 + axis] = 2 * radius + 1
        padding = [0] * 6
        padding[4 - 2 * axis] = padding[5 - 2 * axis] = radius
        weight = kernels.repeat_interleave(c, 0).reshape(shape)
        y = functional.conv3d(functional.pad(y, padding, mode="replicate"), weight, groups=b * c)
    return on_selected(image, chosen, y.reshape(x.shape))


def lower_resolution(image: Tensor, share: Tensor, flat: bool) -> Tensor:
    """Sample down to ``share`` of the resolution by nearest and up again linearly, per sample (1 leaves it)."""
    chosen = torch.nonzero(share < 1)[:, 0]
    if len(chosen) == 0:
        return image
    parts = []
    for n in chosen.tolist():
        size = [max(1, round(s * float(share[n]))) for s in image.shape[2:]]
        if flat:
            size[2] = image.shape[4]
        small = functional.interpolate(image[n : n + 1], size, mode="nearest-exact")
        parts.append(functional.interpolate(small, image.shape[2:], mode="trilinear", align_corners=False))
    return on_selected(image, chosen, torch.cat(parts))


def bias_field(image: Tensor, control: Tensor) -> Tensor:
    """Multiply by a smooth field exp(control), control (B, 1, 3, 3, 3) at the corners, edges and centre of the patch."""
    chosen = torch.nonzero(control.flatten(1).abs().amax(1) > 0)[:, 0]
    if len(chosen) == 0:
        return image
    field = functional.interpolate(control[chosen].to(image.device), image.shape[2:], mode="trilinear", align_corners=True)
    return on_selected(image, chosen, image[chosen] * field.exp())
