"""What a notebook shows of the containers, and that it shows the numbers that are there."""

import base64
import io
import re

import attrs
import numpy as np
import pytest
from PIL import Image

from lungpatch._utils.notebook import NotebookDisplay
from lungpatch._utils.renderings import patch_sheet, render_grey
from lungpatch.containers import AnomalyMap, ChestImage, LungMask, PatchBatch
from lungpatch.containers.colours import ColourScale
from lungpatch.pipeline import Detection
from lungpatch.reports import overlay


def _decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.fixture(scope="module")
def detection(fitted, cohort):
    return fitted.detect(sorted((cohort / "opacity").iterdir())[0])


def test_every_container_with_a_rendering_shows_it(detection):
    for shown in (
        detection,
        detection.image,
        detection.lungs,
        detection.patches,
        detection.anomaly_map,
    ):
        assert isinstance(shown, NotebookDisplay)
        html = shown._repr_html_()
        (embedded,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
        assert base64.b64decode(embedded) == shown._repr_png_()
        # Readable without the rendering, too.
        assert type(shown).__name__ in re.search(r"<figcaption>(.*)</figcaption>", html)[1]


def test_an_image_shows_its_pixels():
    pixels = np.array([[0.0, 0.2], [0.5, 1.0]], np.float32)
    image = ChestImage(pixels=pixels, image_id="a")
    np.testing.assert_array_equal(_decoded(image._repr_png_()), [[0, 51], [128, 255]])


def test_a_large_image_is_reduced_and_keeps_its_shape():
    rendering = render_grey(np.zeros((3000, 1500), np.float32))
    assert rendering.shape == (768, 384)


def test_a_mask_shows_lung_as_white():
    mask = LungMask(pixels=np.array([[True, False]]))
    np.testing.assert_array_equal(_decoded(mask._repr_png_()), [[255, 0]])


def test_patches_show_lung_brighter_than_the_rest():
    pixels = np.full((1, 64, 64), 0.8, np.float32)
    lung = np.zeros((1, 64, 64), bool)
    lung[:, :32] = True
    sheet = patch_sheet(pixels, lung)[..., 0]
    assert sheet[8:30, 8:60].min() == 204
    assert sheet[40:60, 8:60].max() == 102


def test_many_patches_are_thinned_out():
    def sheet(count):
        pixels = np.zeros((count, 8, 8), np.float32)
        return patch_sheet(pixels, np.ones(pixels.shape, bool)).shape

    assert sheet(1000) == sheet(48)
    assert sheet(13)[0] < sheet(48)[0]


def test_one_score_has_one_colour_whatever_the_map():
    scale = ColourScale(low=0.0, high=10.0)
    one, other = (
        _decoded(AnomalyMap(heatmap=np.array([row], np.float32), colour_scale=scale)._repr_png_())
        for row in ([5.0, 1.0], [5.0, 10.0])
    )
    np.testing.assert_array_equal(one[0, 0], other[0, 0])
    assert (one[0, 1] != other[0, 1]).any()


def test_all_maps_of_a_pipeline_have_its_scale(fitted, cohort):
    found = list(fitted.detect_many(cohort / "opacity"))
    assert len(found) > 1
    for one in found:
        assert one.anomaly_map.colour_scale == fitted.calibration_.colour_scale
        expected = overlay(one, fitted.calibration_.colour_scale)
        np.testing.assert_array_equal(_decoded(one._repr_png_()), expected)


def test_a_map_without_a_scale_is_not_coloured(detection):
    bare = AnomalyMap(heatmap=detection.anomaly_map.heatmap)
    assert bare._repr_png_() is None
    assert bare._repr_html_() is None
    without = attrs.evolve(detection, anomaly_map=bare)
    assert without._repr_html_() is None
    with pytest.raises(ValueError, match="colour scale"):
        without.plot()


def test_nothing_to_see_is_no_rendering():
    assert ChestImage(pixels=np.empty((0, 0), np.float32), image_id="a")._repr_png_() is None
    empty = PatchBatch(
        pixels=np.empty((0, 8, 8), np.float32),
        corners=np.empty((0, 2), np.int64),
        lung=np.empty((0, 8, 8), bool),
        image_shape=(8, 8),
        image_id="a",
    )
    assert empty._repr_html_() is None


def test_names_cannot_break_the_page():
    html = ChestImage(pixels=np.zeros((2, 2), np.float32), image_id="<script>")._repr_html_()
    assert "<script>" not in html


def test_plot_draws_in_the_colours_of_the_pipeline(detection, fitted):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    try:
        axes = detection.plot()
        assert isinstance(detection, Detection)
        assert len(axes) == 3
        painted = axes[2].images[-1].get_array()
        expected = fitted.calibration_.colour_scale.to_rgba(detection.native_heatmap)
        np.testing.assert_array_equal(painted, expected)
    finally:
        pyplot.close("all")
