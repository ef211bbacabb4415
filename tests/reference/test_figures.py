"""What the paper's figures show, read back from what was drawn."""

import numpy as np
import pytest
from matplotlib import pyplot

from lungpatch.containers import ChestImage, LungMask, PatchBatch, PatchScores, Reconstruction
from lungpatch.errors import ConfigurationError, InsufficientDataError, InvalidMaskError
from lungpatch.models import Autoencoder, UNet
from lungpatch.reference import (
    plot_confusion,
    plot_examples,
    plot_gradcam,
    plot_kind_table,
    plot_network,
    plot_patch_frames,
    plot_patches,
    plot_reconstructions,
    plot_score_histogram,
    plot_segmentation,
)


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def _image(name="a", side=32):
    rng = np.random.default_rng(0)
    return ChestImage(pixels=rng.random((side, side), dtype=np.float32), image_id=name)


@pytest.fixture
def patches():
    rng = np.random.default_rng(1)
    corners = np.array([(row, column) for row in (0, 8, 16) for column in (0, 8, 16)])
    return PatchBatch(
        pixels=rng.random((9, 16, 16), dtype=np.float32),
        corners=corners,
        lung=np.ones((9, 16, 16), bool),
        image_shape=(32, 32),
        image_id="a",
    )


@pytest.fixture
def scores(patches):
    return PatchScores(values=np.arange(9.0), support=np.ones_like(patches.lung))


def _texts(figure):
    return "\n".join(text.get_text() for text in figure.findobj(pyplot.Text))


def test_examples_have_a_row_per_class():
    figure = plot_examples([_image("n1"), _image("n2")], [_image("p1")])
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["normal", "pneumonia"]
    assert {"n1", "n2", "p1"} <= set(_texts(figure).split())
    with pytest.raises(InsufficientDataError, match="pneumonia"):
        plot_examples([_image()], [])


def test_gradcam_says_how_much_lies_in_the_lungs():
    cams = np.zeros((1, 8, 8))
    cams[0, :4] = 1.0
    lungs = np.zeros((1, 8, 8), bool)
    lungs[0, 2:6] = True  # half of Grad-CAM, half of the image
    figure = plot_gradcam(np.zeros((1, 8, 8)), cams, [0.75], lungs, titles=["image"])
    text = _texts(figure)
    assert "50% of Grad-CAM in the lungs" in text
    assert "lungs: 50% of the image" in text
    assert "P(pneumonia) = 0.75" in text
    with pytest.raises(ConfigurationError, match="must agree"):
        plot_gradcam(np.zeros((1, 8, 8)), cams, [0.5, 0.5])


def test_patches_are_drawn_as_they_are(patches):
    axes = plot_patches(patches, count=9)
    sheet = axes.images[0].get_array()
    for pixels in patches.pixels:
        assert any(
            np.array_equal(sheet[row : row + 16, column : column + 16], pixels)
            for row in range(sheet.shape[0] - 15)
            for column in range(sheet.shape[1] - 15)
        )
    with pytest.raises(ConfigurationError, match="at least 1"):
        plot_patches(patches, count=0)


def test_segmentation_paints_what_is_not_lung():
    lungs = np.zeros((32, 32), bool)
    lungs[8:24] = True
    figure = plot_segmentation(_image(), LungMask(pixels=lungs))
    painted = figure.axes[2].images[1].get_array()
    np.testing.assert_array_equal(painted[..., 3] == 0, lungs)
    assert len(np.unique(painted[~lungs], axis=0)) == 1
    assert "50.0% lung" in _texts(figure)
    with pytest.raises(InvalidMaskError):
        plot_segmentation(_image(), LungMask(pixels=lungs[:8]))


def test_reconstructions_have_a_column_per_patch(patches, scores):
    reconstruction = Reconstruction(
        target=patches.pixels[:, None], expected=1 - patches.pixels[:, None]
    )
    figure = plot_reconstructions(patches, reconstruction, scores, count=4)
    assert len(figure.axes) == 3 * 4
    titles = [axes.get_title() for axes in figure.axes[:4]]
    drawn = [int(float(title.removeprefix("SAD "))) for title in titles]
    for index, above, below in zip(drawn, figure.axes[:4], figure.axes[4:8], strict=True):
        np.testing.assert_array_equal(above.images[0].get_array(), patches.pixels[index])
        np.testing.assert_array_equal(below.images[0].get_array(), 1 - patches.pixels[index])


def test_frames_are_drawn_for_scores_in_the_range_only(patches, scores):
    axes = plot_patch_frames(_image(), patches, scores, (2.0, 5.0))
    frames = axes.collections[0].get_paths()
    corners = {
        (path.vertices[:, 1].min() + 0.5, path.vertices[:, 0].min() + 0.5) for path in frames
    }
    assert corners == {tuple(map(float, corner)) for corner in patches.corners[3:6]}
    assert "3 of 9 patches" in axes.get_title()
    with pytest.raises(ConfigurationError, match="low < high"):
        plot_patch_frames(_image(), patches, scores, (5.0, 2.0))


def test_histogram_counts_what_there_is():
    axes = plot_score_histogram(
        [1.0, 2.0, 2.0, np.nan], kinds={"k": [2.0, 2.0]}, thresholds=[1.5], bins=2
    )
    everything, kind = axes.patches
    assert everything.get_data().values.tolist() == [1, 2]
    assert kind.get_data().values.tolist() == [0, 2]
    assert axes.lines[0].get_xdata() == [1.5, 1.5]
    with pytest.raises(InsufficientDataError):
        plot_score_histogram([np.nan])


def test_table_of_kinds_states_the_rule():
    axes = plot_kind_table([1.0, 2.0], kinds=("a", "b", "c"), scores=[0.5, 1.0, 1.5, 3.0])
    cells = {
        cell: drawn.get_text().get_text() for cell, drawn in axes.tables[0].get_celld().items()
    }
    assert [cells[row, 2] for row in (1, 2, 3)] == ["2", "1", "1"]
    assert cells[2, 1] == "1 < SAD \N{LESS-THAN OR EQUAL TO} 2"
    with pytest.raises(ConfigurationError, match="ascending"):
        plot_kind_table([2.0, 1.0], kinds=("a", "b", "c"))


def test_confusion_shows_counts_and_fractions():
    axes = plot_confusion([[3, 1], [0, 4]], ["x", "y"])
    assert [text.get_text() for text in axes.texts] == ["3\n75%", "1\n25%", "0\n0%", "4\n100%"]
    with pytest.raises(ConfigurationError, match="2 x 2"):
        plot_confusion([[1]], ["x", "y"])


def test_network_names_sizes_and_channels_and_only_the_unet_has_skips():
    def legend(axes):
        return {text.get_text() for text in axes.figure.findobj(pyplot.Text)}

    unet, plain = (legend(plot_network(model)) for model in (UNet(), Autoencoder()))
    assert {"32x32", "16x16", "8x8", "16", "32", "64"} <= unet & plain
    assert "skip connection" in unet
    assert "skip connection" not in plain
