import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from lungpatch.containers import PatchBatch
from lungpatch.containers.cells import known_cells, mean_over_cells, nearest_known
from lungpatch.errors import ConfigurationError
from lungpatch.features.statistics import StatisticsExtractor
from lungpatch.plugins.registry import Registry


def patches_of(pixels):
    pixels = np.asarray(pixels, np.float32)
    return PatchBatch(
        pixels=pixels,
        corners=np.zeros((len(pixels), 2), np.int64),
        lung=np.ones(pixels.shape, bool),
        image_shape=pixels.shape[1:],
        image_id="a",
    )


FINE = {"scales": (1e-3,), "grid": 1000}
"""A place a pixel and a window of one place."""


def test_grey_is_the_pixel_itself_at_the_finest():
    pixels = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    found = StatisticsExtractor(statistics=("grey",), **FINE).extract(patches_of(pixels))
    np.testing.assert_allclose(found[:, 0], pixels, atol=1e-6)


def test_deviation_within_a_place():
    pixels = np.zeros((1, 4, 4))
    pixels[0, 0, 0], pixels[0, 3, 3] = 1.0, 0.5
    found = StatisticsExtractor(statistics=("deviation",), scales=(1e-3,), grid=2).extract(
        patches_of(pixels)
    )
    expected = [[pixels[0, :2, :2].std(), 0.0], [0.0, pixels[0, 2:, 2:].std()]]
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-6)


def test_gradient_of_a_ramp():
    ramp = np.linspace(0, 1, 11)[None, :, None] * np.ones((1, 11, 11))
    found = StatisticsExtractor(statistics=("gradient",)).extract(patches_of(ramp))
    np.testing.assert_allclose(found, 0.1, rtol=1e-5)


def test_gradient_is_the_length_in_both_directions():
    steps = np.arange(11) / 11
    ramp = 0.3 * steps[None, :, None] + 0.4 * steps[None, None, :]
    found = StatisticsExtractor(statistics=("gradient",)).extract(patches_of(ramp))
    np.testing.assert_allclose(found, 0.5 / 11, rtol=1e-5)
    # Two pixels are enough for a gradient.
    pair = np.array([[[0.0, 0.0], [0.5, 0.5]]])
    found = StatisticsExtractor(statistics=("gradient",), **FINE).extract(patches_of(pair))
    np.testing.assert_allclose(found, 0.5, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.05, 0.2])
def test_the_window_is_a_gaussian_of_a_fraction_of_the_side(scale):
    pixels = np.random.default_rng(0).random((3, 32, 32))
    found = StatisticsExtractor(scales=(scale,), grid=8).extract(patches_of(pixels))
    for patch, channels in zip(pixels, found, strict=True):

        def smoothed(values):
            cells = values.reshape(8, 4, 8, 4).mean(axis=(1, 3))
            return ndimage.gaussian_filter(cells, 8 * scale, mode="nearest")

        rows, columns = np.gradient(patch)
        mean = smoothed(patch)
        expected = [
            mean,
            np.sqrt(smoothed(patch**2) - mean**2),
            np.sqrt(smoothed(rows**2 + columns**2)),
        ]
        np.testing.assert_allclose(channels, expected, rtol=1e-4)


def test_the_defaults():
    extractor = StatisticsExtractor()
    assert (extractor.statistics, extractor.scales, extractor.grid) == (
        ("grey", "deviation", "gradient"),
        (0.02, 0.04, 0.08),
        32,
    )
    assert StatisticsExtractor(scales=(1.0,), grid=1).extract(
        patches_of(np.full((1, 4, 4), 0.3))
    ).shape == (1, 3, 1, 1)


def test_scales_of_each_statistic_come_together():
    pixels = np.random.default_rng(0).random((2, 16, 16))
    both = StatisticsExtractor(statistics=("gradient", "grey"), scales=(0.05, 0.2), grid=8)
    found = both.extract(patches_of(pixels))
    assert found.shape == (2, 4, 8, 8)
    for channel, (name, scale) in enumerate(
        [("gradient", 0.05), ("gradient", 0.2), ("grey", 0.05), ("grey", 0.2)]
    ):
        one = attrs.evolve(both, statistics=(name,), scales=(scale,))
        np.testing.assert_array_equal(one.extract(patches_of(pixels))[:, 0], found[:, channel])


def test_one_grey_has_no_texture():
    found = StatisticsExtractor(grid=4).extract(patches_of(np.full((1, 16, 16), 0.3)))
    np.testing.assert_allclose(found[0, :3], 0.3, rtol=1e-6)
    np.testing.assert_allclose(found[0, 3:], 0.0, atol=1e-6)


def test_a_patch_of_one_pixel():
    found = StatisticsExtractor().extract(patches_of(np.full((2, 1, 1), 0.3)))
    assert found.shape == (2, 9, 1, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"statistics": []},
        {"statistics": ["gray"]},
        {"statistics": ["grey", "grey"]},
        {"scales": []},
        {"scales": [0.0]},
        {"scales": [2.0]},
        {"scales": [0.1, 2.0]},
        {"scales": [0.1, "a"]},
        {"grid": 0},
    ],
)
def test_refused_settings(wrong):
    with pytest.raises(ConfigurationError, match="extractor 'statistics'"):
        Registry(plugins=[]).create("extractor", "statistics", wrong)


@given(
    maps=hnp.arrays(
        np.float64,
        st.tuples(st.integers(0, 3), st.integers(1, 12), st.integers(1, 12)),
        elements=st.floats(-100, 100),
    ),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_means_over_places_weigh_every_pixel_once(maps, data):
    shape = tuple(data.draw(st.integers(1, side)) for side in maps.shape[1:])
    found = mean_over_cells(maps, shape)
    assert found.shape == (len(maps), *shape)
    rows = np.array(
        [
            np.searchsorted(_edges(maps.shape[1], shape[0]), r, "right") - 1
            for r in range(maps.shape[1])
        ]
    )
    columns = np.array(
        [
            np.searchsorted(_edges(maps.shape[2], shape[1]), c, "right") - 1
            for c in range(maps.shape[2])
        ]
    )
    for row in range(shape[0]):
        for column in range(shape[1]):
            block = maps[:, rows == row][:, :, columns == column]
            np.testing.assert_allclose(found[:, row, column], block.mean(axis=(1, 2)), atol=1e-9)


def _edges(length, count):
    return [i * length // count for i in range(count)]


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 6))))
@settings(max_examples=60, deadline=None)
def test_nearest_known_place_is_the_nearest(known):
    known[0, 0] = True
    rows, columns = nearest_known(known)
    there = np.argwhere(known)
    for place in np.ndindex(known.shape):
        chosen = np.array([rows[place], columns[place]])
        assert known[tuple(chosen)]
        distance = np.linalg.norm(there - place, axis=1).min()
        assert np.linalg.norm(chosen - place) == pytest.approx(distance)


def test_known_places_are_lung_often_enough():
    lung = np.zeros((8, 1, 4), bool)
    lung[:, 0, 0] = lung[:2, 0, 1] = lung[:1, 0, 2] = True
    assert known_cells(lung).tolist() == [[True, True, False, False]]
