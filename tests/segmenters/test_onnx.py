"""The segmenter of ONNX files, on networks made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lungpatch.containers import ChestImage
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.segmenters import OnnxSegmenter
from lungpatch.testing import check_segmenter

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")
made_onnx = pytest.importorskip("made_onnx")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lungs.onnx"
    path.write_bytes(made_onnx.dark(threshold=-0.5))
    return path


def test_it_keeps_the_promises_of_segmenters(file):
    check_segmenter(OnnxSegmenter(file=file)).raise_on_failure()


def test_dark_regions_are_found_where_the_network_sees_them(file):
    pixels = np.full((256, 256), 0.8, np.float32)
    pixels[40:200, 30:100] = pixels[40:200, 150:230] = 0.1
    image = ChestImage(pixels=pixels, image_id="two boxes")
    segmenter = OnnxSegmenter(file=file)
    np.testing.assert_array_equal(segmenter.segment(image).pixels, pixels < 0.5)
    # Standardised, light pixels have 0.87 and dark ones -1.15.
    mean, std = pixels.mean(dtype=float), pixels.std(dtype=float)
    odds = np.exp(8 * (-0.5 - (pixels - mean) / std))
    np.testing.assert_allclose(segmenter.probability(image), odds / (1 + odds), atol=1e-5)


def test_flip_average_is_the_mean_over_the_mirror_image(tmp_path):
    from onnx import helper

    # Logits that grow from left to right, whatever the image: their mean is the same everywhere.
    ramp = helper.make_tensor(
        "ramp", made_onnx.FLOAT, [256], np.linspace(-4, 4, 256, dtype=np.float32)
    )
    zero = helper.make_tensor("zero", made_onnx.FLOAT, [], [0.0])
    nodes = [
        ("Mul", ["images", "zero"], "nothing", {}),
        ("Add", ["nothing", "ramp"], "logits", {}),
    ]
    shape = ["N", 1, 256, 256]
    path = tmp_path / "ramp.onnx"
    path.write_bytes(
        made_onnx.content(
            nodes,
            [("images", made_onnx.FLOAT, shape)],
            [("logits", made_onnx.FLOAT, shape)],
            [ramp, zero],
        )
    )
    image = phantom_chest(0, size=256).image
    plain = OnnxSegmenter(file=path).probability(image)
    assert plain[0, 0] == pytest.approx(1 / (1 + np.exp(4.0)), abs=1e-6)
    assert plain[0, -1] == pytest.approx(1 / (1 + np.exp(-4.0)), abs=1e-6)
    averaged = OnnxSegmenter(file=path, flip_average=True).probability(image)
    np.testing.assert_allclose(averaged, 0.5, atol=1e-6)


def test_the_state_needs_no_file(file):
    image = phantom_chest(0, size=256).image
    first = OnnxSegmenter(file=file)
    other = OnnxSegmenter()
    other.load_state(first.state())
    file.unlink()
    np.testing.assert_array_equal(other.segment(image).pixels, first.segment(image).pixels)


def test_a_missing_or_unfit_network_is_named(file, tmp_path):
    image = phantom_chest(0, size=256).image
    with pytest.raises(ConfigurationError, match="OnnxSegmenter has no network: set 'file'"):
        OnnxSegmenter().segment(image)
    with pytest.raises(MissingInputError, match=r"no\.onnx"):
        OnnxSegmenter(file=tmp_path / "no.onnx").segment(image)
    file.write_bytes(made_onnx.dark(side=128))
    with pytest.raises(ConfigurationError, match=r"lungs\.onnx: its input 'images' is float32"):
        OnnxSegmenter(file=file).segment(image)
