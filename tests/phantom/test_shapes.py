import numpy as np
import pytest

from voxloom.phantom.canvas import Canvas, Scan, smooth_noise
from voxloom.phantom.mr import rician
from voxloom.phantom.shapes import Common, Cut, Grown, Joined, Slab, Superellipsoid, Tube, ball, rotation


def at(*point):
    return tuple(np.array([value], np.float32) for value in point)


def test_distances_of_a_ball_are_exact():
    shape = ball((1, 2, 3), 5)
    assert shape.distance(*at(1, 2, 13)) == pytest.approx(5, abs=1e-4)
    assert shape.distance(*at(4, 2, 3)) == pytest.approx(-2, abs=1e-4)


def test_a_turned_ellipsoid_points_where_it_was_turned():
    shape = Superellipsoid((0, 0, 0), (10, 1, 1), 2.0, rotation(0, 0, 90))
    assert shape.distance(*at(0, 9, 0)) < 0 < shape.distance(*at(9, 0, 0))
    low, high = shape.bounds()
    np.testing.assert_allclose(high - low, [2, 20, 2], atol=1e-9)


def test_a_tube_narrows_between_its_points():
    tube = Tube(((0, 0, 0), (0, 0, 10)), (4.0, 2.0))
    assert tube.distance(*at(5, 0, 0)) == pytest.approx(1, abs=1e-4)
    assert tube.distance(*at(5, 0, 5)) == pytest.approx(2, abs=1e-4)


def test_shapes_are_joined_cut_and_grown():
    a, b = ball((0, 0, 0), 3), ball((4, 0, 0), 3)
    assert Joined((a, b)).distance(*at(5, 0, 0)) < 0
    assert Joined((a, b), 4.0).distance(*at(2, 2.6, 0)) < Joined((a, b)).distance(*at(2, 2.6, 0))
    assert Cut(a, b).distance(*at(2, 0, 0)) > 0 > Common((a, b)).distance(*at(2, 0, 0))
    assert Grown(a, 1.0).distance(*at(3.5, 0, 0)) < 0
    assert Slab((0, 0, 5), (0, 0, 1), 2.0).distance(*at(7, 7, 5.5)) == pytest.approx(-0.5)


def test_a_painted_ball_has_its_volume_on_an_oblique_thick_sliced_grid():
    scan = Scan("coronal", (60, 60, 20), 1.0, 3.0, (3.0, -2.0, 1.0), (10.0, -5.0, 7.0))
    canvas = Canvas(scan.affine, scan.shape, fine=3)
    canvas.paint(ball((3, -2, 1), 12), 1.0, 1)
    expected = 4 / 3 * np.pi * 12**3
    assert canvas.averaged().sum() * 3 == pytest.approx(expected, rel=0.01)
    assert (canvas.middle_labels() == 1).sum() * 3 == pytest.approx(expected, rel=0.03)


def test_a_scan_is_centered_where_it_should_be():
    scan = Scan("sagittal", (11, 21, 7), 0.7, 4.0, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    np.testing.assert_allclose((scan.affine @ np.array([5, 10, 3, 1.0]))[:3], (1, 2, 3), atol=1e-9)


def test_noise_fields_are_smooth_and_rician_noise_has_its_floor():
    rng = np.random.default_rng(0)
    field = smooth_noise(rng, (40, 30, 20), 8.0)
    assert field.shape == (40, 30, 20)
    assert field.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(field, axis=0)).max() < 1.2
    air = rician(np.zeros((60, 60, 20), np.float32), 0.1, rng)
    assert air.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.02)
