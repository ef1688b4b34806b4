"""What a scanner adds to the truth: coil shading, noise and blur of MR, noise and blur of CT.

Knows arrays of grey values. Does not know anatomy. Rician noise is the magnitude of a complex signal with Gaussian
noise in both parts (Gudbjartsson and Patz 1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxloom.phantom.canvas import Size, smooth_noise
from voxloom.phantom.shapes import Array


@dataclass(frozen=True)
class MrLook:
    """How one MR scan looks, drawn before it is applied.

    Parameters
    ----------
    noise : SD of the noise, where the brightest tissue is about 1.
    bias : SD of the logarithm of the coil shading.
    gamma : contrast curve, 1 for none.
    blur : SD of the blur in the slices, in pixels.
    peak : grey value that the brightest tissue gets in the file.
    """

    noise: float
    bias: float
    gamma: float
    blur: float
    peak: float

    @classmethod
    def draw(cls, rng: np.random.Generator, difficulty: float) -> MrLook:
        """A random look; ``difficulty`` from 0 to 1 raises noise, shading and the spread of contrast."""
        return cls(
            noise=float(rng.uniform(0.008, 0.018 + 0.06 * difficulty)),
            bias=float(rng.uniform(0.05, 0.12 + 0.3 * difficulty)),
            gamma=float(np.exp(rng.uniform(-1, 1) * (0.05 + 0.3 * difficulty))),
            blur=float(rng.uniform(0.35, 0.6)),
            peak=float(np.exp(rng.uniform(np.log(250), np.log(1800)))),
        )

    def apply(self, truth: Array, rng: np.random.Generator, axis: int = 2) -> NDArray[np.int16]:
        """The scan of ``truth`` (I, J, K); slices lie along ``axis``."""
        from scipy.ndimage import gaussian_filter

        sigma = [0.0 if a == axis else self.blur for a in range(3)]
        signal = gaussian_filter(np.clip(truth, 0, None), sigma) ** np.float32(self.gamma)
        signal = rician(signal * bias_field(rng, signal.shape, self.bias), self.noise, rng)
        return np.clip(np.rint(signal * self.peak), 0, 32767).astype(np.int16)


def bias_field(rng: np.random.Generator, shape: Size, strength: float) -> Array:
    """Smooth positive shading of a coil; ``strength`` is the SD of its logarithm."""
    field: Array = np.exp(np.float32(strength) * smooth_noise(rng, shape, np.maximum(np.array(shape) / 2.0, 2.0)))
    return field


def rician(signal: Array, noise: float, rng: np.random.Generator) -> Array:
    """Magnitude of ``signal`` with Gaussian noise of SD ``noise`` in its real and imaginary part."""
    real = signal + np.float32(noise) * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = np.float32(noise) * rng.standard_normal(signal.shape, dtype=np.float32)
    found: Array = np.sqrt(real * real + imaginary * imaginary)
    return found


def ct_scan(truth: Array, rng: np.random.Generator, noise: float, axis: int = 2) -> NDArray[np.int16]:
    """HU of ``truth`` (I, J, K) with blur and correlated noise of SD ``noise`` in the slices (along ``axis``)."""
    from scipy.ndimage import gaussian_filter

    sigma = [0.0 if a == axis else 0.45 for a in range(3)]
    grain = gaussian_filter(rng.standard_normal(truth.shape, dtype=np.float32), sigma)
    found = gaussian_filter(truth, sigma) + grain * np.float32(noise / max(float(grain.std()), 1e-6))
    return np.clip(np.rint(found), -1024, 3071).astype(np.int16)
