from functools import partial

import numpy as np
import pytest
import torch

from voxloom.dataset.labels import Label, Labels
from voxloom.errors import BadInput
from voxloom.inference import Windowing, predict_map, restore_labels, stream_map
from voxloom.inference.labels import decide, most_likely
from voxloom.prepare import PrepareSettings, prepare_image
from voxloom.volume import Volume

PLAIN = Labels((Label("front", (4,)), Label("back", (9,))))
REGIONS = Labels((Label("whole", (1, 2)), Label("core", (2,))), regions_order=(1, 2))


def three_way(windows):
    """Maps that depend on the intensity of one channel."""
    return torch.cat([1 - 4 * windows.abs(), 3 * windows, -3 * windows], dim=1)


def smooth_volume(orientation_signs=(1, 1, 1), shape=(19, 26, 23), spacing=(2.0, 1.0, 1.5)):
    from scipy.ndimage import gaussian_filter

    data = gaussian_filter(np.random.default_rng(3).normal(size=shape), 3)
    affine = np.diag([s * d for s, d in zip(orientation_signs, spacing, strict=True)] + [1.0])
    affine[:3, 3] = (5, -7, 11)
    return Volume((data / data.std()).astype(np.float32)[None], affine)


def predicted(volume, settings, labels=PLAIN, network=three_way):
    image, geometry = prepare_image(volume, settings, None)
    activation = "sigmoid" if labels.has_regions else "softmax"
    stream = partial(stream_map, network, image, Windowing((12, 12, 12), activation=activation))
    return image, geometry, labels.decode(restore_labels(stream, geometry, labels))


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_without_resampling_the_labels_are_those_of_the_probabilities(signs):
    volume = smooth_volume(signs)
    image, geometry, found = predicted(volume, PrepareSettings(spacing=None, normalize="none"))
    maps = predict_map(three_way, image, Windowing((12, 12, 12)))
    expected = PLAIN.decode(geometry.restore_labels(maps.argmax(axis=0).astype(np.uint8)))
    assert found.shape == volume.shape
    assert set(np.unique(found)) == {0, 4, 9}
    assert (found == expected).mean() > 0.999


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, -1, -1)])
@pytest.mark.parametrize("pad_to", [None, (48, 48, 48)])
def test_streamed_resampling_equals_resampling_whole_maps(signs, pad_to, monkeypatch):
    monkeypatch.setattr("voxloom.inference.labels._SLAB_VOXELS", 1500)
    monkeypatch.setattr("voxloom.inference.band._SLAB_VALUES", 5000)
    volume = smooth_volume(signs)
    image, geometry, found = predicted(
        volume, PrepareSettings(spacing=(1.3, 1.3, 1.3), normalize="none", pad_to=pad_to)
    )
    maps = predict_map(three_way, image, Windowing((12, 12, 12)), out_dtype=np.float32)
    whole = [next(geometry.restore_map(one, 10**9, float(n == 0))) for n, one in enumerate(maps)]
    np.testing.assert_array_equal(found, PLAIN.decode(decide(whole, PLAIN)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_streaming_along_any_axis_of_turned_axes(axis, monkeypatch):
    monkeypatch.setattr("voxloom.inference.labels._SLAB_VOXELS", 900)
    shape = [14, 14, 14]
    shape[axis] = 40
    volume = smooth_volume(shape=tuple(shape))
    turned = Volume(np.moveaxis(volume.data, 1, 3), volume.affine[:, [1, 2, 0, 3]][:, [1, 0, 2, 3]])
    image, geometry, found = predicted(turned, PrepareSettings(spacing=(1.4, 1.4, 1.4), normalize="none"))
    maps = predict_map(three_way, image, Windowing((12, 12, 12)), out_dtype=np.float32)
    whole = [next(geometry.restore_map(one, 10**9, float(n == 0))) for n, one in enumerate(maps)]
    np.testing.assert_array_equal(found, PLAIN.decode(decide(whole, PLAIN)))


def test_regions_are_written_in_their_order():
    volume = smooth_volume()
    _, _, found = predicted(
        volume, PrepareSettings(spacing=None, normalize="none"), REGIONS, lambda x: torch.cat([8 * x, 8 * x - 8], dim=1)
    )
    source = volume.data[0]
    sure = (np.abs(source) > 0.05) & (np.abs(source - 1) > 0.05)
    expected = np.where(source > 1, 2, np.where(source > 0, 1, 0))
    np.testing.assert_array_equal(found[sure], expected[sure])


def test_outside_the_body_is_background():
    data = np.zeros((1, 30, 30, 30), np.float32)
    data[:, 10:20, 8:22, 9:21] = 50
    volume = Volume(data, np.diag([1.0, 1, 1, 1]))
    for spacing in (None, (1.2, 1.2, 1.2)):
        settings = PrepareSettings(spacing=spacing, crop="nonzero", normalize="none")
        _, _, found = predicted(volume, settings)
        assert set(np.unique(found[:8])) == {0}
        assert (found[12:18, 10:20, 11:19] == 4).all()


def test_a_network_with_too_few_maps_is_refused():
    with pytest.raises(BadInput, match="gives 1 maps, the labels need 3"):
        predicted(smooth_volume(), PrepareSettings(spacing=None, normalize="none"), PLAIN, lambda x: x)


def test_labels_of_an_ensemble_are_those_of_its_mean_probability():
    image = smooth_volume().data
    networks = (three_way, lambda x: 3 * three_way(x.flip(-1)))
    stream = partial(stream_map, networks, image, Windowing((12, 12, 12), tta_axes=(1,)))
    geometry = prepare_image(smooth_volume(), PrepareSettings(spacing=None, normalize="none"), None)[1]
    maps = predict_map(networks, image, Windowing((12, 12, 12), tta_axes=(1,)), out_dtype=np.float32)
    np.testing.assert_array_equal(restore_labels(stream, geometry, PLAIN), decide(maps, PLAIN))


@pytest.mark.parametrize(("count", "kind"), [(3, torch.uint8), (255, torch.uint8), (300, torch.int16)])
def test_the_largest_of_many_scores_wins_and_a_tie_goes_to_the_smaller_index(count, kind):
    scores = torch.randint(0, 4 * count, (count, 7, 5, 3), generator=torch.Generator().manual_seed(0)).float()
    scores[[1, count - 1], 0, 0, 0] = 4.0 * count
    winner = most_likely(scores)
    assert winner.dtype is kind
    assert winner[0, 0, 0, 0] == 1
    np.testing.assert_array_equal(winner[0], scores.numpy().argmax(axis=0))
