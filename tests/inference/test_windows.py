import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom.errors import BadInput
from voxloom.inference import Windowing, predict_map, stream_map
from voxloom.inference.grid import window_starts, window_weights
from voxloom.prepare import SliceStack


def identity(windows):
    return windows


def image_of(shape, channels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(channels, *shape)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(3, 29)] * 3),
    patch=st.tuples(st.integers(3, 12), st.integers(3, 12), st.integers(1, 12)),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.8]),
    batch=st.integers(1, 5),
)
def test_identity_network_gives_its_input_back(shape, patch, overlap, batch):
    image = image_of(shape)
    found = predict_map(
        identity, image, Windowing(patch, overlap=overlap, batch=batch, activation="sigmoid"), out_dtype=np.float32
    )
    assert found.shape == image.shape
    np.testing.assert_allclose(found, sigmoid(image), atol=1e-3)


@given(size=st.integers(1, 300), patch=st.integers(1, 64), overlap=st.sampled_from([0.0, 0.3, 0.5, 0.75]))
def test_windows_cover_and_weights_sum_to_one(size, patch, overlap):
    patch = min(patch, size)
    starts = window_starts(size, patch, overlap)
    assert starts[0] == 0
    assert starts[-1] == size - patch
    total = np.zeros(size)
    for start, weights in zip(starts, window_weights(size, patch, starts), strict=True):
        assert (weights > 0).all()
        total[start : start + patch] += weights
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_slabs_come_in_order_and_together_are_the_volume():
    image = image_of((9, 50, 11))
    slabs = list(stream_map(identity, image, Windowing((8, 8, 8), activation="sigmoid")))
    assert {slab.axis for slab in slabs} == {1}
    assert [slab.start for slab in slabs[1:]] == [slab.stop for slab in slabs[:-1]]
    whole = np.concatenate([slab.values for slab in slabs], axis=2)
    np.testing.assert_allclose(whole, sigmoid(image), atol=1e-3)


def shifted(windows):
    """A network that sees directions: each voxel takes the value of its neighbor below along i."""
    return torch.roll(windows, 1, dims=2)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1, 2)])
def test_mirror_images_are_turned_back(axes):
    image = image_of((8, 8, 8))
    found = predict_map(
        shifted,
        image,
        Windowing((8, 8, 8), tta_axes=axes, activation="sigmoid", channels_last=False),
        out_dtype=np.float32,
    )
    one, other = sigmoid(np.roll(image, 1, axis=1)), sigmoid(np.roll(image, -1, axis=1))
    expected = (one + other) / 2 if 0 in axes else one
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_ensemble_is_the_mean_of_its_probabilities():
    image = image_of((20, 9, 9))
    found = predict_map(
        [identity, lambda x: -3 * x], image, Windowing((8, 8, 8), activation="sigmoid"), out_dtype=np.float32
    )
    np.testing.assert_allclose(found, (sigmoid(image) + sigmoid(-3 * image)) / 2, atol=1e-3)


def test_the_batch_changes_nothing():
    torch.manual_seed(0)
    network = torch.nn.Conv3d(2, 3, 3, padding=1).eval()
    image = image_of((21, 17, 13))
    one, five = (
        predict_map(network, image, Windowing((8, 8, 8), batch=batch), out_dtype=np.float32) for batch in (1, 5)
    )
    np.testing.assert_allclose(one, five, atol=1e-4)
    np.testing.assert_allclose(one.sum(axis=0), 1, atol=1e-3)


def uneven(windows):
    """Logits that depend on the window: its first voxel is added to the first map; channels-last in memory."""
    logits = windows * torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1, 1)
    logits[:, 0] += windows[:, 0, :1, :1, :1]
    return logits.contiguous(memory_format=torch.channels_last_3d)


def blended_by_hand(image, patch, starts):
    """The weighted mean of the logits of all windows along i, one after the other."""
    total = np.zeros(image.shape)
    for start, weights in zip(starts, window_weights(image.shape[1], patch, starts), strict=True):
        window = torch.from_numpy(image[:, start : start + patch])[None]
        total[:, start : start + patch] += uneven(window)[0].numpy() * weights[None, :, None, None]
    return total


@pytest.mark.parametrize(("bytes_of_float32", "channels_last"), [(1 << 29, True), (0, True), (0, False)])
def test_a_single_network_blends_its_logits(monkeypatch, bytes_of_float32, channels_last):
    """As MONAI and nnU-Net do; a large band is of float16, and the layout of the logits in memory changes nothing."""
    monkeypatch.setattr("voxloom.inference.band._FLOAT32_BYTES", bytes_of_float32)
    image = image_of((21, 6, 7))
    network = uneven if channels_last else lambda x: uneven(x).contiguous()
    found = predict_map(network, image, Windowing((8, 6, 7), batch=2), out_dtype=np.float32)
    logits = blended_by_hand(image, 8, window_starts(21, 8, 0.5))
    expected = torch.softmax(torch.from_numpy(logits), 0).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5 if bytes_of_float32 else 3e-3)


def test_logits_beyond_float16_stay_finite(monkeypatch):
    monkeypatch.setattr("voxloom.inference.band._FLOAT32_BYTES", 0)
    found = predict_map(lambda x: x * 1e6, image_of((21, 6, 7)), Windowing((8, 6, 7)), out_dtype=np.float32)
    assert np.isfinite(found).all()


def test_flat_patches_run_a_2d_network_on_slices():
    torch.manual_seed(0)
    network = torch.nn.Conv2d(2, 3, 3, padding=1).eval()
    image = image_of((16, 12, 5))
    found = predict_map(network, image, Windowing((16, 12, 1), batch=2), out_dtype=np.float32)
    with torch.inference_mode():
        slices = torch.softmax(network(torch.from_numpy(np.moveaxis(image, 3, 0).copy())), dim=1)
    np.testing.assert_allclose(found, np.moveaxis(slices.numpy(), 0, 3), atol=1e-4)


def test_windows_that_cannot_be_are_refused():
    with pytest.raises(BadInput, match="overlap"):
        predict_map(identity, image_of((4, 4, 4)), Windowing((4, 4, 4), overlap=1.0))
    with pytest.raises(BadInput, match="C, I, J, K"):
        predict_map(identity, np.zeros((4, 4, 4), np.float32), Windowing((4, 4, 4)))


def test_three_slices_in_the_middle_slice_out():
    """A 2D network that answers with its middle channel gives every slice back in its place."""
    image = image_of((9, 7, 6), channels=2)
    found = predict_map(
        lambda x: x[:, [1, 4]],
        image,
        Windowing((5, 7, 1), batch=4, activation="sigmoid", stack=SliceStack(1)),
        out_dtype="f4",
    )
    np.testing.assert_allclose(found, sigmoid(image), atol=1e-3)


def test_neighbors_are_refused_for_windows_of_many_slices():
    with pytest.raises(BadInput, match="windows of one slice"):
        predict_map(identity, image_of((9, 7, 6)), Windowing((5, 7, 3), stack=SliceStack(1)))
