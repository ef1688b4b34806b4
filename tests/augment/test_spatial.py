"""Resampling against independent implementations, in millimetres."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from voxloom.augment import separable, spatial

SPACING = (0.7, 1.0, 3.0)


def matrix_of(angles: tuple[float, float, float], scale: float = 1.0) -> torch.Tensor:
    return spatial.rotations(torch.tensor([angles])) * scale


def test_rotation_agrees_with_simpleitk_on_anisotropic_voxels() -> None:
    random = np.random.default_rng(0)
    shape, size = (16, 18, 9), (12, 14, 7)
    volume = ndimage.gaussian_filter(random.standard_normal(shape), 1.0).astype(np.float32)
    label = (volume > 0.05).astype(np.uint8)
    matrix, shift = matrix_of((0.2, -0.3, 0.4), 1.1), torch.tensor([[0.5, -1.0, 2.0]])
    offsets = spatial.offsets_of(matrix, shift, SPACING, size)
    image, moved = spatial.resample(torch.tensor(volume)[None, None], torch.tensor(label)[None], offsets, SPACING)

    source = sitk.GetImageFromArray(volume.transpose(2, 1, 0))
    source.SetSpacing(SPACING)
    source.SetOrigin([-(n - 1) / 2 * s for n, s in zip(shape, SPACING, strict=True)])
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[0].double().flatten().tolist())
    transform.SetTranslation(shift[0].tolist())
    origin = [-(n - 1) / 2 * s for n, s in zip(size, SPACING, strict=True)]
    judge = sitk.Resample(source, size, transform, sitk.sitkLinear, origin, SPACING, [1, 0, 0, 0, 1, 0, 0, 0, 1], 0.0)
    expected = sitk.GetArrayFromImage(judge).transpose(2, 1, 0)
    inside = expected != 0
    border = ndimage.binary_erosion(inside, iterations=1)
    assert border.sum() > 100
    np.testing.assert_allclose(image[0, 0].numpy()[border], expected[border], atol=1e-4)
    assert set(np.unique(moved)) <= {0, 1}


def test_a_rotation_in_millimetres_keeps_distances() -> None:
    offsets = spatial.offsets_of(matrix_of((0.3, 0.2, 0.1)), torch.zeros(1, 3), SPACING, (5, 6, 7))
    first, last = offsets[0, :, 0, 0, 0], offsets[0, :, -1, -1, -1]
    expected = np.linalg.norm([4 * SPACING[0], 5 * SPACING[1], 6 * SPACING[2]])
    assert float((last - first).norm()) == pytest.approx(expected, rel=1e-5)


def test_identity_offsets_read_every_voxel_unchanged() -> None:
    image = torch.randn(2, 3, 6, 7, 5)
    offsets = spatial.offsets_of(torch.eye(3).expand(2, 3, 3), torch.zeros(2, 3), SPACING, (6, 7, 5))
    moved, _ = spatial.resample(image, None, offsets, SPACING)
    assert torch.allclose(moved, image, atol=1e-5)


@pytest.mark.parametrize(
    ("source", "size"), itertools.product([(8, 9, 7), (9, 8, 6)], [(4, 4, 4), (5, 5, 5), (12, 12, 12)])
)
def test_the_crop_and_the_resampled_crop_lie_on_the_same_voxels(source: tuple[int, ...], size: tuple[int, ...]) -> None:
    image = torch.randn(1, 1, *source)
    shift = spatial.crop_center(source, size, SPACING)[None]
    moved, _ = spatial.resample(image, None, spatial.offsets_of(torch.eye(3)[None], shift, SPACING, size), SPACING)
    assert torch.allclose(moved, spatial.centered_crop(image, size), atol=1e-5)


def test_displacement_is_the_control_point_where_one_lies_and_linear_between() -> None:
    control = torch.randn(1, 3, 3, 3, 3)
    field = spatial.displacement(control, (4.0, 4.0, 4.0), (1.0, 2.0, 4.0), (9, 5, 3))
    assert torch.allclose(field[:, :, ::4, ::2, :], control, atol=1e-5)
    assert torch.allclose(
        field[:, :, 1, 0, 0], 0.75 * control[:, :, 0, 0, 0] + 0.25 * control[:, :, 1, 0, 0], atol=1e-5
    )


def test_control_points_span_the_window() -> None:
    for n, mm in ((40, 1.0), (41, 1.0), (16, 0.3), (1, 1.0)):
        (points, *_) = spatial.control_points((n, n, n), (mm, mm, mm), (10.0,) * 3)
        assert (points - 1) * 10.0 >= (n - 1) * mm - 1e-6
        assert points >= 2


def test_blur_agrees_with_scipy_away_from_the_border() -> None:
    volume = np.random.default_rng(1).standard_normal((24, 22, 20)).astype(np.float32)
    sigma = torch.tensor([0.9])
    matrices = [separable.gaussian_matrix(sigma, n) for n in volume.shape]
    blurred = separable.along_axes(torch.tensor(volume)[None, None], matrices)[0, 0].numpy()
    expected = ndimage.gaussian_filter(volume, 0.9, truncate=4.0)
    np.testing.assert_allclose(blurred[4:-4, 4:-4, 4:-4], expected[4:-4, 4:-4, 4:-4], atol=2e-3)


def test_coarse_sampling_agrees_with_nearest_down_and_linear_up() -> None:
    volume = torch.randn(1, 1, 12, 10, 9)
    matrices = [separable.coarse_matrix(torch.tensor([0.5]), n) for n in volume.shape[2:]]
    size = [round(n * 0.5) for n in volume.shape[2:]]
    small = torch.nn.functional.interpolate(volume, size, mode="nearest-exact")
    expected = torch.nn.functional.interpolate(small, volume.shape[2:], mode="trilinear", align_corners=False)
    assert torch.allclose(separable.along_axes(volume, matrices), expected, atol=1e-5)


def test_neutral_matrices_are_the_identity() -> None:
    assert torch.equal(separable.coarse_matrix(torch.ones(1), 7)[0], torch.eye(7))
    assert torch.equal(separable.gaussian_matrix(torch.zeros(1), 7)[0], torch.eye(7))
