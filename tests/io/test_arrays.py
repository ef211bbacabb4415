import io

import numpy as np
import pytest
import torch
from made_dicoms import ramp, save_image
from PIL import Image
from scipy import ndimage

from lungpatch.errors import ConfigurationError, InvalidImageError
from lungpatch.io import as_chest_image, read_image, resize


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
@pytest.mark.parametrize(
    ("dtype", "value_range", "low", "high"),
    [
        (np.uint8, None, 0, 255),
        (np.uint8, (0, 250), 0, 250),
        (np.uint16, (0, 4095), 0, 4095),
        (np.int16, (-1000, 3000), -1000, 3000),
        (np.int64, (0, 10**6), 0, 10**6),
        (np.float16, (0, 1), 0, 1),
        (np.float32, (0, 1), 0, 1),
        (np.float32, (-1, 1), -1, 1),
        (np.float64, (0.1, 0.7), 0, 1),
    ],
)
def test_array(dtype, value_range, low, high, convert):
    black, white = value_range or (0, 255)
    array = (black + ramp(1, dtype=np.float64) * (white - black)).clip(black, white).astype(dtype)
    image = as_chest_image(convert(array), value_range=value_range, image_id="a")
    expected = (array.astype(np.float64) - black) / (white - black)
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
    assert (image.image_id, image.source) == ("a", "array")


def test_array_of_bool():
    bits = ramp() > 9
    np.testing.assert_array_equal(as_chest_image(bits).pixels, bits)


def test_tensor_with_gradient_or_bfloat16():
    tensor = torch.from_numpy(ramp(1, dtype=np.float32)).requires_grad_()
    np.testing.assert_array_equal(
        as_chest_image(tensor, value_range=(0, 1)).pixels, tensor.detach().numpy()
    )
    with pytest.raises(InvalidImageError, match="cannot be taken"):
        as_chest_image(tensor.to(torch.bfloat16), value_range=(0, 1))


def test_array_channels():
    levels = ramp()
    expected = levels / np.float32(255)
    for array in (levels[..., None], levels[None], np.stack([levels] * 3, axis=-1)):
        np.testing.assert_allclose(as_chest_image(array).pixels, expected, atol=1e-6)
    alpha = np.where(levels > 50, 255, 0).astype(np.uint8)
    image = as_chest_image(np.stack([levels, levels, levels, alpha], axis=-1))
    np.testing.assert_allclose(image.pixels, expected * (levels > 50), atol=1e-6)
    for shape in ((3, 40, 50), (40,), (2, 40, 50, 1), (40, 50, 2), (0, 40), (40, 0, 3)):
        with pytest.raises(InvalidImageError, match="shape|no pixels"):
            as_chest_image(np.zeros(shape, np.uint8))


def test_array_is_copied():
    array = ramp(1, dtype=np.float32)
    image = as_chest_image(array, value_range=(0, 1))
    array[:] = 0
    assert image.pixels.max() == 1
    array[0, 0] = 1  # still writeable


@pytest.mark.parametrize(
    ("array", "proposal"),
    [
        (ramp(3000, dtype=np.uint16), "(0, 4095)"),
        (ramp(30, dtype=np.int32), "(0, 255)"),
        (ramp(1, dtype=np.float32), "(0, 1)"),
        (ramp(90, dtype=np.float32), "(black, white)"),
    ],
)
def test_range_must_be_given(array, proposal):
    with pytest.raises(InvalidImageError, match="value_range") as caught:
        as_chest_image(array, image_id="image 7")
    assert proposal in str(caught.value)
    assert str(caught.value).startswith("image 7:")


def test_array_outside_its_range_names_the_actual_values():
    with pytest.raises(InvalidImageError, match="from 0 to 300") as caught:
        as_chest_image(ramp(300, dtype=np.uint16), value_range=(0, 255))
    assert "(0, 255)" in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_array_that_is_not_finite(bad):
    array = ramp(1, dtype=np.float32)
    array[1, 1] = bad
    with pytest.raises(InvalidImageError, match="NaN or infinite"):
        as_chest_image(array, value_range=(0, 1))


@pytest.mark.parametrize(
    "array",
    [np.zeros((40, 40), np.uint8), ramp(shape=(31, 40)), np.zeros((2, 10_001), np.uint8)],
)
def test_unusable_array(array):
    with pytest.raises(InvalidImageError, match="image: "):
        as_chest_image(array, image_id="image")


@pytest.mark.parametrize("array", [np.full((40, 40), "a"), np.zeros((40, 40), complex), None])
def test_array_of_another_kind(array):
    with pytest.raises(InvalidImageError):
        as_chest_image(array)


@pytest.mark.parametrize("value_range", [(1, 0), (0, 0), (0, np.nan), (0,), 5, "01", ("a", "b")])
def test_value_range_must_make_sense(value_range):
    with pytest.raises(ConfigurationError, match="value_range"):
        as_chest_image(ramp(), value_range=value_range)


def test_array_spacing():
    assert as_chest_image(ramp(), pixel_spacing_mm=(0.1, 0.2)).pixel_spacing_mm == (0.1, 0.2)
    with pytest.raises(ConfigurationError, match="pixel_spacing_mm"):
        as_chest_image(ramp(), pixel_spacing_mm=(0, 1))


@pytest.mark.parametrize("shape", [(256, 256), (512, 512), (300, 700), (100, 130)])
def test_resize_shape_spacing_and_mean(shape):
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random(shape), 3)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    image = as_chest_image(smooth, value_range=(0, 1), pixel_spacing_mm=(0.2, 0.3), image_id="s")
    small = resize(image, 128)
    assert small.shape == (128, 128)
    assert small.native_shape == shape
    assert small.image_id == "s"
    assert small.pixel_spacing_mm == pytest.approx((0.2 * shape[0] / 128, 0.3 * shape[1] / 128))
    assert small.pixels.mean() == pytest.approx(smooth.mean(), abs=0.01)


def test_resize_halves_by_the_triangle_filter():
    image = as_chest_image(np.random.default_rng(0).random((64, 64)), value_range=(0, 1))
    weights = np.array([1, 3, 3, 1]) / 8
    blurred = ndimage.correlate1d(image.pixels.astype(float), weights, axis=0, origin=-1)
    blurred = ndimage.correlate1d(blurred, weights, axis=1, origin=-1)
    inner = resize(image, 32).pixels[1:-1, 1:-1]
    np.testing.assert_allclose(inner, blurred[2:-2:2, 2:-2:2], atol=1e-6)


def test_resize_does_not_alias():
    stripes = np.zeros((512, 512), bool)
    stripes[::2] = True
    small = resize(as_chest_image(stripes), 200).pixels
    assert np.abs(small - 0.5).max() < 0.2


def test_resize_to_its_own_size_is_the_same_object():
    image = as_chest_image(ramp(shape=(64, 64)))
    assert resize(image, 64) is image
    small = resize(image, 32)
    assert resize(small, 32) is small
    assert resize(small, 48).native_shape == (64, 64)


@pytest.mark.parametrize("size", [0, -1, 10_001, 2.0, True])
def test_resize_refuses(size):
    with pytest.raises(ConfigurationError, match="size"):
        resize(as_chest_image(ramp()), size)


# ------------------------------------------------------------------------------ images of Pillow


def in_mode(levels, mode):
    """The same grey levels as an image of one of Pillow's modes."""
    grey = Image.fromarray(levels)
    if mode == "P":
        image = Image.fromarray(255 - levels)
        image.putpalette([255 - level for level in range(256) for _ in range(3)])
        return image
    if mode == "CMYK":
        black = Image.fromarray(255 - levels)
        none = Image.new("L", grey.size)
        return Image.merge("CMYK", [none, none, none, black])
    return grey.convert(mode)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_images_of_pillow_are_read_through_their_mode(mode):
    image = as_chest_image(in_mode(ramp(), mode), image_id="p")
    np.testing.assert_allclose(image.pixels, ramp() / 255, atol=0.01 if mode == "CMYK" else 1e-6)
    assert (image.image_id, image.source) == ("p", "array")
    assert bool(image.reading) == (mode not in ("L", "LA"))


def test_one_bit_of_pillow():
    bits = ramp() > 100
    np.testing.assert_array_equal(as_chest_image(Image.fromarray(bits)).pixels, bits)


def test_transparency_of_pillow_is_laid_over_black():
    alpha = np.where(ramp() > 50, 255, 51).astype(np.uint8)
    image = Image.merge("LA", [Image.fromarray(ramp()), Image.fromarray(alpha)])
    expected = ramp() / 255 * (alpha / 255)
    np.testing.assert_allclose(as_chest_image(image).pixels, expected, atol=1e-6)
    palette = in_mode(ramp(), "P")
    palette.info["transparency"] = 255 - 40
    expected = np.where(ramp() == 40, 0, ramp()) / 255
    np.testing.assert_allclose(as_chest_image(palette).pixels, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_wider_words_of_pillow_need_a_range(dtype):
    image = Image.fromarray(ramp(4000, dtype=dtype))
    with pytest.raises(InvalidImageError, match="value_range"):
        as_chest_image(image)
    levels = np.asarray(image)
    read = as_chest_image(image, value_range=(0, 4095))
    np.testing.assert_allclose(read.pixels, levels / 4095, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("from_file", [True, False])
def test_the_orientation_of_pillow_is_applied(tmp_path, orientation, from_file):
    image = Image.fromarray(ramp())
    exif = image.getexif()
    exif[274] = orientation
    image.save(tmp_path / "o.png", exif=exif)
    if from_file:
        image = Image.open(tmp_path / "o.png")
    with image:
        given = as_chest_image(image)
        np.testing.assert_array_equal(given.pixels, read_image(tmp_path / "o.png").pixels)
        assert given.shape == ((50, 40) if orientation > 4 else (40, 50))
        assert any("EXIF" in note for note in given.reading) == (orientation > 1)
        if not from_file:  # the caller's image is as it was
            assert (image.size, exif[274]) == ((50, 40), orientation)


def test_images_of_pillow_that_cannot_be_used(tmp_path):
    with pytest.raises(InvalidImageError, match="image 7: .*CIELAB"):
        as_chest_image(Image.new("LAB", (50, 40)), image_id="image 7")
    save_image(tmp_path / "h.png", np.random.default_rng(0).integers(0, 256, (90, 99), np.uint8))
    half = (tmp_path / "h.png").read_bytes()[:4000]
    with Image.open(io.BytesIO(half)) as image, pytest.raises(InvalidImageError, match="decoded"):
        as_chest_image(image)
    with pytest.raises(InvalidImageError, match="31x31"):
        as_chest_image(in_mode(ramp(shape=(31, 31)), "P"))


def test_a_range_applies_to_the_grey_levels_of_a_palette():
    image = as_chest_image(in_mode(ramp(), "P"), value_range=(0, 510))
    np.testing.assert_allclose(image.pixels, ramp() / 510, atol=1e-6)


# --------------------------------------------------------------------------------- masked arrays


def test_masked_arrays():
    whole = np.ma.masked_array(ramp(), mask=False)
    np.testing.assert_array_equal(as_chest_image(whole).pixels, as_chest_image(ramp()).pixels)
    some = np.ma.masked_less(ramp(), 3)
    with pytest.raises(InvalidImageError, match="masked values.*filled") as caught:
        as_chest_image(some)
    assert f"{int((ramp() < 3).sum())} masked" in str(caught.value)
    np.testing.assert_allclose(
        as_chest_image(some.filled(0)).pixels, np.where(ramp() < 3, 0, ramp()) / 255, atol=1e-6
    )
    with pytest.raises(InvalidImageError, match="masked"):
        as_chest_image(np.ma.masked_all((40, 50), np.float32), value_range=(0, 1))
