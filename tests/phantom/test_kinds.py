import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.phantom import KINDS, make_phantom

CASES = [(kind, index) for kind in KINDS for index in (0, 1)]


@pytest.fixture(scope="module")
def cases():
    return {(kind, index): make_phantom(kind, 7, index=index) for kind, index in CASES}


def inside(case, point):
    """Voxel indices of a point, and whether the grid holds it."""
    at = (np.linalg.inv(case.image.affine) @ np.array([*point.position, 1.0]))[:3]
    return at, bool(((at >= -0.5) & (at <= np.array(case.image.shape) - 0.5)).all())


@pytest.mark.parametrize(("kind", "index"), CASES)
def test_image_and_label_share_a_grid_and_every_label_is_there(cases, kind, index):
    case = cases[kind, index]
    assert case.image.same_grid(case.label)
    assert case.image.data.dtype == np.int16
    found = set(np.unique(case.label.data))
    required = set(KINDS[kind].LABELS.values()) - ({2} if kind == "abdomen-ct" else set())
    assert required <= found <= set(KINDS[kind].LABELS.values())
    assert case.attributes["patient"] == case.image.meta["patient_id"]


@pytest.mark.parametrize("kind", KINDS)
def test_labels_lie_in_the_body_and_cases_differ(cases, kind):
    one, two = cases[kind, 0], cases[kind, 1]
    image, label = one.image.data[0].astype(float), one.label.data[0]
    air = np.percentile(image, 2)
    assert (image[label > 0] > air).mean() > 0.9
    assert one.image.shape != two.image.shape or not np.array_equal(one.image.data, two.image.data)
    assert not np.allclose(one.image.affine, two.image.affine)


@pytest.mark.parametrize("kind", ["lumbar-mr", "knee-mr"])
def test_the_same_seed_gives_the_same_voxels(cases, kind):
    again = make_phantom(kind, 7, index=1)
    np.testing.assert_array_equal(again.image.data, cases[kind, 1].image.data)
    np.testing.assert_array_equal(again.label.data, cases[kind, 1].label.data)
    assert not np.array_equal(make_phantom(kind, 8, index=1).image.data, again.image.data)


def test_some_scans_are_oblique():
    tilts = [make_phantom("head-mr", 3, index=n).image.affine[:3, :3] for n in range(4)]
    oblique = [(np.abs(matrix) > 1e-6).sum() > 3 for matrix in tilts]
    assert any(oblique)
    assert not all(oblique)


@pytest.mark.parametrize("index", [0, 1])
def test_ten_foramina_lie_beside_the_canal_between_two_vertebrae(cases, index):
    case = cases["lumbar-mr", index]
    assert [(p.name, p.side) for p in case.points] == [(f"L{n}", s) for n in range(1, 6) for s in ("left", "right")]
    label = case.label.data[0]
    for point in case.points:
        voxel, held = inside(case, point)
        assert held
        nearest = tuple(np.rint(voxel).astype(int))
        assert label[nearest] == 0
        own = np.argwhere(label == int(point.name[1]))
        centroid = (case.label.affine @ np.array([*own.mean(axis=0), 1.0]))[:3]
        x, y, z = np.array(point.position) - centroid
        assert 10 < abs(x) < 32
        assert (x > 0) == (point.side == "right")
        assert -50 < y < -8
        assert -35 < z < 8


def test_difficulty_narrows_foramina():
    easy = [make_phantom("lumbar-mr", 1, index=n, difficulty=0.0).attributes["narrowed"] for n in range(2)]
    hard = [make_phantom("lumbar-mr", 1, index=n, difficulty=1.0).attributes["narrowed"] for n in range(4)]
    assert sum(easy) == 0
    assert sum(hard) >= 2


def test_ct_numbers_are_those_of_the_organs():
    for index in range(3):
        case = make_phantom("abdomen-ct", 5, index=index)
        image, label = case.image.data[0], case.label.data[0]
        liver, kidney = float(np.median(image[label == 3])), float(np.median(image[label == 1]))
        low, high = {"native": (40, 75), "portal": (85, 145), "arterial": (55, 105)}[case.attributes["phase"]]
        assert low < liver < high
        assert 15 < kidney < 260
        assert image.min() < -950


def test_growth_plates_close_with_age():
    cases = [make_phantom("knee-mr", 11, index=index, difficulty=0.1) for index in range(0, 24, 2)]
    ages = [case.attributes["age"] for case in cases]
    assert np.corrcoef(ages, [case.attributes["plate_mm"] for case in cases])[0, 1] < -0.85
    assert np.corrcoef(ages, [dark_mm(case) for case in cases])[0, 1] < -0.75


def dark_mm(case):
    """Thickness in mm of what is darker than the marrow in the middle of the femur, measured in the image."""
    from scipy.ndimage import binary_erosion, gaussian_filter

    image = case.image.data[0].astype(float)
    core = binary_erosion(case.label.data[0] == 1, np.ones((7, 7, 1)))
    shading = gaussian_filter(image * core, (12, 12, 0)) / np.maximum(
        gaussian_filter(core.astype(float), (12, 12, 0)), 1e-3
    )
    dark = core & (image < 0.8 * shading)
    return dark.sum() * case.image.spacing[1] / core.any(axis=1).sum()


def test_what_cannot_be_made_is_refused():
    with pytest.raises(BadInput, match="Choose one of lumbar-mr"):
        make_phantom("elbow-mr", 0)
    with pytest.raises(BadInput, match="difficulty"):
        make_phantom("head-mr", 0, difficulty=2.0)
