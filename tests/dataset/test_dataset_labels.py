"""Labels: any values in, consecutive values inside, the same values out."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom.dataset import Label, Labels
from voxloom.errors import BadInput

BRATS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 9}


@settings(deadline=None)
@given(st.sets(st.integers(1, 3000), min_size=2, max_size=40), st.booleans(), st.integers(0, 2**31))
def test_decode_returns_what_encode_got(values: set[int], ignored: bool, seed: int) -> None:
    ordered = sorted(values)
    ignore = ordered.pop() if ignored else None
    labels = Labels.from_values(ordered) if ignore is None else Labels(Labels.from_values(ordered).foreground, ignore)
    outer = np.random.default_rng(seed).choice([0, *values], size=(3, 4, 5)).astype(np.int32)
    inner = labels.encode(outer)
    assert inner.dtype == np.uint8
    assert set(np.unique(inner)) <= set(range(len(labels.declared)))
    assert (labels.decode(inner) == outer).all()
    if ignore is not None:
        assert ((inner == labels.ignore_index) == (outer == ignore)).all()


def test_sparse_values_become_consecutive_and_keep_their_names() -> None:
    labels = Labels((Label("far", (207,)), Label("near", (5,))))
    assert labels.names == ("near", "far")
    assert labels.encode(np.array([0, 5, 207])).tolist() == [0, 1, 2]
    assert labels.decode(np.array([2, 1, 0])).tolist() == [207, 5, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.uint64, np.float32])
def test_every_number_type_is_encoded(dtype: type) -> None:
    labels = Labels.from_values([3, 200])
    assert labels.encode(np.array([[0, 3], [200, 0]], dtype=dtype)).tolist() == [[0, 1], [2, 0]]
    with pytest.raises(BadInput, match="value 4 not declared"):
        labels.encode(np.array([0, 4], dtype=dtype))
    with pytest.raises(BadInput, match="value 250 not declared"):
        labels.encode(np.array([0, 250], dtype=dtype))


def test_bool_masks_and_empty_arrays_are_encoded() -> None:
    assert Labels.from_values([1]).encode(np.array([True, False])).tolist() == [1, 0]
    assert Labels.from_values([1]).encode(np.zeros((0, 3), np.uint8)).shape == (0, 3)


def test_many_and_huge_values() -> None:
    many = Labels.from_values(range(1, 400))
    assert many.encode(np.arange(400)).dtype == np.uint16
    assert (many.encode(np.arange(400)) == np.arange(400)).all()
    huge = Labels.from_values([7, 2**40])
    outer = np.array([0, 2**40, 7])
    assert huge.encode(outer).tolist() == [0, 2, 1]
    assert huge.decode(huge.encode(outer)).tolist() == outer.tolist()
    with pytest.raises(BadInput, match="value 8 not"):
        huge.encode(np.array([8]))


def test_an_undeclared_value_is_named_with_file_and_declaration() -> None:
    labels = Labels.from_nnunet({"background": 0, "anterior": 1, "posterior": 2})
    with pytest.raises(BadInput) as caught:
        labels.encode(np.array([0, 1, 3, 3]), "labelsTr/hippocampus_001.nii.gz")
    for part in ("3", "labelsTr/hippocampus_001.nii.gz", "1 anterior", "2 posterior"):
        assert part in str(caught.value)
    with pytest.raises(BadInput, match="-1"):
        labels.encode(np.array([-1, 0]))
    with pytest.raises(BadInput, match="not integers"):
        labels.encode(np.array([0.5]))


def test_regions_membership_masks_and_written_values() -> None:
    labels = Labels.from_nnunet(BRATS)
    assert labels.has_regions
    assert labels.atoms == (1, 2, 3)
    assert labels.ignore_index == 4
    assert labels.names == ("whole", "core", "enhancing")
    assert labels.membership().astype(int).tolist() == [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
    assert labels.written_values == (1, 2, 3)
    outer = np.array([0, 1, 2, 3, 9])
    masks = dict(labels.masks(outer))
    assert masks["core"].tolist() == [False, False, True, True, False]
    valid = labels.valid(outer)
    assert valid is not None
    assert valid.tolist() == [True] * 4 + [False]


def test_overlapping_regions_without_a_larger_one() -> None:
    labels = Labels((Label("left", (1, 2)), Label("right", (2, 3))))
    assert labels.has_regions
    assert labels.atoms == (1, 2, 3)
    assert labels.membership().astype(int).tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]


def test_nnunet_mapping_round_trip_and_pickle() -> None:
    labels = Labels.from_nnunet(BRATS)
    assert labels.to_nnunet() == BRATS
    assert Labels.from_nnunet(labels.to_nnunet()) == labels
    assert pickle.loads(pickle.dumps(labels)) == labels
    assert Labels.from_nnunet(BRATS, regions_order=[3, 2, 1]).written_values == (3, 2, 1)
    assert Labels.from_nnunet({"cord": 1}).valid(np.zeros(3)) is None


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"background": 0}, "no foreground"),
        ({"background": 0, "cord": -1}, "negative"),
        ({"background": 0, "cord": 0}, "both background and cord"),
        ({"background": 0, "cord": 1, "ignore": 1}, "both ignore and cord"),
        ({"background": 0, "cord": 1, "ignore": 0}, "both background and ignore"),
        ({"background": 0, "cord": 1.5}, "not an integer"),
        ({"background": 0, "cord": True}, "not an integer"),
        ({"background": 0, "cord": []}, "no value"),
        ({"background": 0, "cord": [1, 1]}, "one twice"),
        ({"background": [0, 1], "cord": 2}, "one value"),
        ({"background": 0, " ": 2}, "unique and not empty"),
    ],
)
def test_labels_that_make_no_sense_are_refused(mapping: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Labels.from_nnunet(mapping)


def test_a_regions_order_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadInput, match="regions_class_order"):
        Labels.from_nnunet({"background": 0, "all": [1, 2], "core": 2}, regions_order=[1])
    with pytest.raises(BadInput, match="unique"):
        Labels((Label("a", (1,)), Label("a", (2,))))
