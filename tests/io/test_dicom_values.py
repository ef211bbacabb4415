"""Stored values to grey levels: each rule of the guide, against its formula written by hand."""

import numpy as np
import pytest
from made_dicoms import (
    check_refused_by_name,
    lookup_table,
    make_dicom,
    ramp,
    save_dicom,
)
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from lungpatch.io import read_image

SHAPE = (40, 50)
U12 = ramp(4095, dtype=np.uint16)
S12 = ramp(4095, dtype=np.int16) - np.int16(2048)
CURVE = (np.linspace(0, 1, 4096) ** 0.5 * 4095).astype(int)


def notes(image):
    return " | ".join(image.reading)


# ---------------------------------------------------------------------------------------- bits


@pytest.mark.parametrize(
    ("highest", "white"), [(200, 255), (1000, 1023), (4000, 4095), (9000, 16383), (60000, 65535)]
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_where_only_words_are_stated_the_depth_in_use_is_white(
    tmp_path, highest, white, photometric
):
    stored = ramp(highest, dtype=np.uint16)
    image = read_image(save_dicom(tmp_path / "d", stored, bits=16, photometric=photometric))
    expected = stored / white
    np.testing.assert_allclose(
        image.pixels, 1 - expected if photometric == "MONOCHROME1" else expected, atol=1e-6
    )
    assert f"white {white}" in notes(image)
    assert f"{white.bit_length()} of the 16 bits" in notes(image)


def test_a_stated_depth_is_believed_and_noted(tmp_path):
    dark = ramp(900, dtype=np.uint16)
    image = read_image(save_dicom(tmp_path / "d", dark, bits=12))
    np.testing.assert_allclose(image.pixels, dark / 4095, atol=1e-6)
    assert "white 4095, as BitsStored 12 says" in notes(image)


@pytest.mark.parametrize(
    ("low", "high", "black", "white"),
    [(0, 4000, 0, 4095), (-900, 900, -2048, 2047), (-100, 100, -128, 127), (0, 32767, 0, 32767)],
)
def test_signed_words_are_scaled_by_the_depth_in_use(tmp_path, low, high, black, white):
    stored = (ramp(high - low, dtype=np.int32) + low).astype(np.int16)
    image = read_image(save_dicom(tmp_path / "d", stored, bits=16))
    np.testing.assert_allclose(image.pixels, (stored - float(black)) / (white - black), atol=1e-6)


def test_the_depth_in_use_is_rescaled_too(tmp_path):
    stored = ramp(4000, dtype=np.uint16)
    path = save_dicom(tmp_path / "d", stored, bits=16, RescaleSlope=-2, RescaleIntercept=10)
    np.testing.assert_allclose(read_image(path).pixels, 1 - stored / 4095, atol=1e-6)


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
@pytest.mark.parametrize(("high_bit", "bits"), [(15, 12), (13, 12), (12, 10), (15, 8)])
def test_samples_end_at_high_bit(tmp_path, high_bit, bits, syntax):
    if (syntax, bits) == (RLELossless, 8):
        pytest.skip("pydicom's encoder writes 8 of 16 bits as bytes")
    values = ramp(2**bits - 1, dtype=np.uint16)
    stored = values << (high_bit + 1 - bits)
    path = save_dicom(tmp_path / "d", stored, bits=bits, syntax=syntax, HighBit=high_bit)
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, values / (2**bits - 1), atol=1e-6)
    assert f"HighBit {high_bit}" in notes(image)


def test_signed_samples_end_at_high_bit(tmp_path):
    path = save_dicom(tmp_path / "d", S12 << 4, HighBit=15)
    np.testing.assert_allclose(read_image(path).pixels, (S12 + 2048.0) / 4095, atol=1e-6)


def test_a_high_bit_that_is_not_true_is_refused(tmp_path):
    check_refused_by_name(save_dicom(tmp_path / "d", U12, HighBit=15), "HighBit (0028,0102)")
    for high_bit in (10, 16):
        path = save_dicom(tmp_path / "d", U12, HighBit=high_bit)
        check_refused_by_name(path, "HighBit (0028,0102)", "BitsStored")


def overlaid(stored, bit, *, declared=True):
    """Put a square into one bit of the pixels, as old devices store overlays."""
    stored = stored.copy()
    stored[10:20, 10:20] |= np.uint16(1 << bit)
    dataset = make_dicom(stored)
    if declared:
        dataset.add_new(0x60000010, "US", stored.shape[0])
        dataset.add_new(0x60000011, "US", stored.shape[1])
        dataset.add_new(0x60000040, "CS", "G")
        dataset.add_new(0x60000050, "SS", [1, 1])
        dataset.add_new(0x60000100, "US", 16)
        dataset.add_new(0x60000102, "US", bit)
    return dataset


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("bit", [12, 15])
def test_bits_above_the_samples_are_masked_and_noted(tmp_path, bit, declared):
    path = tmp_path / "d"
    overlaid(U12, bit, declared=declared).save_as(path, enforce_file_format=True)
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, U12 / 4095, atol=1e-6)
    kind = "an overlay" if declared else "other data"
    assert f"bits above HighBit 11 hold {kind}: masked" in notes(image)


def test_an_overlay_below_the_samples_is_masked(tmp_path):
    dataset = overlaid(U12 << 4, 2)
    dataset.HighBit = 15
    dataset.save_as(tmp_path / "d", enforce_file_format=True)
    np.testing.assert_allclose(read_image(tmp_path / "d").pixels, U12 / 4095, atol=1e-6)


@pytest.mark.parametrize("highest", [5000, 9000, 65535])
def test_samples_that_need_more_bits_than_stated_are_refused(tmp_path, highest):
    stored = ramp(highest, dtype=np.uint16)
    check_refused_by_name(save_dicom(tmp_path / "d", stored), "BitsStored (0028,0101) 12")


@pytest.mark.parametrize("extended", [True, False])
def test_signed_samples_with_and_without_their_sign_above(tmp_path, extended):
    stored = S12 if extended else (S12 & 0x0FFF).astype(np.int16)
    image = read_image(save_dicom(tmp_path / "d", stored))
    np.testing.assert_allclose(image.pixels, (S12 + 2048.0) / 4095, atol=1e-6)
    assert "masked" not in notes(image)


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("shape", [(40, 50), (41, 51)])
def test_big_endian_bytes_are_in_words_or_not(tmp_path, vr, shape):
    stored = ramp(shape=shape)
    dataset = make_dicom(stored, bits=8, syntax=ExplicitVRBigEndian)
    data = stored.tobytes() + b"\0" * (stored.size % 2)
    if vr == "OW":
        data = np.frombuffer(data, "<u2").astype(">u2").tobytes()
    dataset.PixelData = data
    dataset["PixelData"].VR = vr
    dataset.save_as(tmp_path / "d", enforce_file_format=True)
    np.testing.assert_allclose(read_image(tmp_path / "d").pixels, stored / 255, atol=1e-6)


# -------------------------------------------------------------------------------------- tables


def as_table(form, entries):
    """Entries as lookup table data of one form: words, bytes, or bytes described as words."""
    if form == "bytes":
        data = np.asarray(entries, np.uint8).tobytes()
        return {"data": data, "vr": "OW", "n_entries": len(entries) % 65536}
    if form == "OW":
        data = np.asarray(entries, "<u2").tobytes()
        return {"data": data, "vr": "OW", "n_entries": len(entries) % 65536}
    return {"data": entries, "vr": "US"}


@pytest.mark.parametrize("form", ["US", "OW"])
@pytest.mark.parametrize("used", [8, 9, 10, 11, 12, 14, 15, 16])
@pytest.mark.parametrize("stated", [8, 10, 12, 16])
@pytest.mark.parametrize("kind", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_are_scaled_by_the_bits_that_they_use(tmp_path, kind, stated, used, form):
    entries = np.linspace(0, 2**used - 1, 4096).astype(int)
    table = lookup_table(first=0, bits=stated, **as_table(form, entries))
    image = read_image(save_dicom(tmp_path / "d", U12, **{kind: table}))
    np.testing.assert_allclose(image.pixels, entries[U12] / (2**used - 1), atol=1e-6)
    assert f"white is {2**used - 1}" in notes(image)
    assert (f"descriptor says {stated} bits" in notes(image)) == (stated != used)


@pytest.mark.parametrize("kind", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("form", ["US", "OW", "bytes"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_tables_of_bytes(tmp_path, kind, form, photometric):
    entries = CURVE // 16
    table = lookup_table(first=0, bits=8, **as_table(form, entries))
    path = save_dicom(tmp_path / "d", U12, photometric=photometric, **{kind: table})
    expected = entries[U12] / 255
    np.testing.assert_allclose(
        read_image(path).pixels,
        1 - expected if photometric == "MONOCHROME1" else expected,
        atol=1e-6,
    )


@pytest.mark.parametrize("n_entries", [2000, 2001])
def test_tables_of_bytes_in_big_endian_words(tmp_path, n_entries):
    entries = np.linspace(0, 255, n_entries).astype(np.uint8)
    data = entries.tobytes() + b"\0" * (n_entries % 2)
    data = np.frombuffer(data, "<u2").byteswap().tobytes()
    table = lookup_table(data, 0, 8, vr="OW", n_entries=n_entries)
    stored = ramp(n_entries - 1, dtype=np.uint16)
    path = save_dicom(tmp_path / "d", stored, syntax=ExplicitVRBigEndian, VOILUTSequence=table)
    np.testing.assert_allclose(read_image(path).pixels, entries[stored] / 255, atol=1e-6)


def test_a_table_of_all_words(tmp_path):
    stored = ramp(65535, dtype=np.uint16)
    entries = np.arange(65536)[::-1]
    table = lookup_table(first=0, bits=16, **as_table("OW", entries))
    path = save_dicom(tmp_path / "d", stored, bits=16, VOILUTSequence=table)
    np.testing.assert_allclose(read_image(path).pixels, 1 - stored / 65535, atol=1e-6)


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("kind", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_may_begin_at_a_negative_value(tmp_path, kind, syntax):
    table = lookup_table(CURVE[:3000], -1500, 12)
    image = read_image(save_dicom(tmp_path / "d", S12, syntax=syntax, **{kind: table}))
    expected = CURVE[np.clip(S12.astype(int) + 1500, 0, 2999)] / 4095
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)


def test_a_table_may_begin_above_half_of_the_words(tmp_path):
    stored = ramp(65535, dtype=np.uint16)
    table = lookup_table(CURVE, 40000, 12)
    image = read_image(save_dicom(tmp_path / "d", stored, bits=16, VOILUTSequence=table))
    expected = CURVE[np.clip(stored.astype(int) - 40000, 0, 4095)] / 4095
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)


def test_a_voi_table_follows_the_rescale_and_goes_before_a_window(tmp_path):
    path = save_dicom(
        tmp_path / "d",
        U12,
        RescaleSlope=0.5,
        RescaleIntercept=100,
        VOILUTSequence=lookup_table(CURVE, 0, 12),
        WindowCenter=5,
        WindowWidth=3,
    )
    image = read_image(path)
    expected = CURVE[np.rint(U12 * 0.5 + 100).astype(int)] / 4095
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
    assert "window" not in notes(image)


def test_a_modality_table_goes_before_the_rescale_and_a_window_follows(tmp_path):
    path = save_dicom(
        tmp_path / "d",
        U12,
        ModalityLUTSequence=lookup_table(CURVE, 0, 16),
        RescaleSlope=7,
        RescaleIntercept=9,
        WindowCenter=2000,
        WindowWidth=1001,
    )
    expected = np.clip((CURVE[U12] - 1999.5) / 1000 + 0.5, 0, 1)
    np.testing.assert_allclose(read_image(path).pixels, expected, atol=1e-6)


def test_the_first_of_several_tables_and_windows_is_used(tmp_path):
    tables = lookup_table(CURVE, 0, 12)
    tables.append(lookup_table(CURVE[::-1], 0, 12)[0])
    image = read_image(save_dicom(tmp_path / "d", U12, VOILUTSequence=tables))
    np.testing.assert_allclose(image.pixels, CURVE[U12] / 4095, atol=1e-6)
    assert "the first of 2" in notes(image)
    path = save_dicom(tmp_path / "d", U12, WindowCenter=[2000, 9, 8], WindowWidth=[1001, 7, 6])
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, np.clip((U12 - 1999.5) / 1000 + 0.5, 0, 1), atol=1e-6)
    assert "center 2000, width 1001, LINEAR, the first of 3" in notes(image)


@pytest.mark.parametrize("kind", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_that_are_not_whole_are_refused(tmp_path, kind):
    whole = lookup_table(CURVE, 0, 12)
    no_data = lookup_table(CURVE, 0, 12)
    del no_data[0].LUTData
    no_descriptor = lookup_table(CURVE, 0, 12)
    del no_descriptor[0].LUTDescriptor
    two_values = lookup_table(CURVE, 0, 12)
    two_values[0].LUTDescriptor = [4096, 0]
    short = lookup_table(CURVE[:100], 0, 12, n_entries=4096)
    for table, word in (
        (no_data, "LUTData (0028,3006)"),
        (no_descriptor, "LUTDescriptor (0028,3002)"),
        (two_values, "LUTDescriptor (0028,3002)"),
        (short, "LUTData (0028,3006)"),
    ):
        check_refused_by_name(save_dicom(tmp_path / "d", U12, **{kind: table}), word)
    longer = lookup_table([*CURVE, 9, 9, 9], 0, 12, n_entries=4096)
    expected = read_image(save_dicom(tmp_path / "w", U12, **{kind: whole})).pixels
    path = save_dicom(tmp_path / "d", U12, **{kind: longer})
    np.testing.assert_array_equal(read_image(path).pixels, expected)


# ------------------------------------------------------------------------------------- windows


def formula(x, center, width, function):
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (x - center) / width))
    if function == "LINEAR_EXACT":
        return np.clip((x - center) / width + 0.5, 0, 1)
    if width == 1:
        return (x > center - 0.5).astype(float)
    return np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("slope", [1, -1, 0.25])
@pytest.mark.parametrize("stored", [U12, S12], ids=["unsigned", "signed"])
def test_windows_by_the_formulas_of_the_standard(tmp_path, stored, slope, function):
    elements = {"WindowCenter": "500.5", "WindowWidth": "900"}
    if function:
        elements["VOILUTFunction"] = function
    shift = 40 if slope > 0 else 2500
    path = save_dicom(
        tmp_path / "d", stored, RescaleSlope=slope, RescaleIntercept=shift, **elements
    )
    name = function or "LINEAR"
    expected = formula(stored.astype(float) * slope + shift, 500.5, 900, name)
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, expected, atol=1e-5)
    assert name in notes(image)


def test_the_narrowest_windows(tmp_path):
    path = save_dicom(tmp_path / "d", U12, WindowCenter=2000, WindowWidth=1)
    np.testing.assert_array_equal(read_image(path).pixels, U12 > 1999.5)
    exact = {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": 2000}
    path = save_dicom(tmp_path / "d", U12, WindowWidth=0.5, **exact)
    np.testing.assert_array_equal(
        read_image(path).pixels, np.clip((U12 - 2000.0) / 0.5 + 0.5, 0, 1)
    )
    for width, elements in ((0.5, {"WindowCenter": 9}), (0, exact), (-4, exact)):
        path = save_dicom(tmp_path / "d", U12, WindowWidth=width, **elements)
        check_refused_by_name(path, "WindowWidth (0028,1051)")


def test_half_a_window_is_not_used_and_noted(tmp_path):
    plain = read_image(save_dicom(tmp_path / "p", U12)).pixels
    for name, other in (("WindowCenter", "WindowWidth"), ("WindowWidth", "WindowCenter")):
        image = read_image(save_dicom(tmp_path / "d", U12, **{name: 100}))
        np.testing.assert_array_equal(image.pixels, plain)
        assert f"{name} without {other}: not used" in notes(image)
    image = read_image(save_dicom(tmp_path / "d", U12, WindowCenter="", WindowWidth=""))
    np.testing.assert_array_equal(image.pixels, plain)


def test_an_unknown_window_function_is_refused(tmp_path):
    path = save_dicom(tmp_path / "d", U12, WindowCenter=9, WindowWidth=9, VOILUTFunction="CUBIC")
    check_refused_by_name(path, "VOILUTFunction (0028,1056)", "'CUBIC'", "SIGMOID")


def test_half_a_rescale_is_noted(tmp_path):
    image = read_image(save_dicom(tmp_path / "d", U12, RescaleSlope=2))
    np.testing.assert_allclose(image.pixels, U12 / 4095, atol=1e-6)
    assert "no RescaleIntercept: 0 assumed" in notes(image)
    window = {"WindowCenter": 2000, "WindowWidth": 1001}
    image = read_image(save_dicom(tmp_path / "d", U12, RescaleIntercept=50, **window))
    expected = np.clip((U12 + 50 - 1999.5) / 1000 + 0.5, 0, 1)
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
    assert "no RescaleSlope: 1 assumed" in notes(image)


@pytest.mark.parametrize(("slope", "intercept"), [("1e30", "1e300"), ("1e-300", "1e9")])
def test_a_rescale_beyond_all_levels_is_refused(tmp_path, slope, intercept):
    path = save_dicom(tmp_path / "d", U12, RescaleSlope=slope, RescaleIntercept=intercept)
    check_refused_by_name(path, "RescaleSlope (0028,1053)", "RescaleIntercept (0028,1052)")


# --------------------------------------------------------------------------- inversion, padding


@pytest.mark.parametrize(
    ("photometric", "shape", "read"),
    [
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", True),
        ("MONOCHROME1", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", False),
    ],
)
def test_shape_and_photometric_must_agree(tmp_path, photometric, shape, read):
    path = save_dicom(tmp_path / "d", U12, photometric=photometric, PresentationLUTShape=shape)
    if read:
        expected = 1 - U12 / 4095 if photometric == "MONOCHROME1" else U12 / 4095
        np.testing.assert_allclose(read_image(path).pixels, expected, atol=1e-6)
    else:
        check_refused_by_name(path, "PresentationLUTShape (2050,0020)", shape, photometric)


def padded(stored, value):
    padding = np.zeros(stored.shape, bool)
    padding[:, :7] = padding[-4:] = True
    return np.where(padding, stored.dtype.type(value), stored), padding


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("value", [0, 4095, 65535])
def test_padding_is_black_and_changes_no_level(tmp_path, photometric, value):
    inside = np.clip(U12, 1, 4000)
    stored, padding = padded(inside, value)
    path = save_dicom(
        tmp_path / "d", stored, bits=16, photometric=photometric, PixelPaddingValue=value
    )
    image = read_image(path)
    expected = inside / 4095
    if photometric == "MONOCHROME1":
        expected = 1 - expected
    np.testing.assert_allclose(image.pixels[~padding], expected[~padding], atol=1e-6)
    assert (image.pixels[padding] == 0).all()
    assert f"{padding.mean():.1%} of the pixels are padding" in notes(image)


def test_signed_padding_and_a_range_of_it(tmp_path):
    stored, padding = padded(np.clip(S12, -1000, 2047), -2000)
    stored[0, 0] = -1900
    padding[0, 0] = True
    for low, high in ((-2000, -1900), (-1900, -2000), (63536, 63636)):
        path = (
            save_dicom(
                tmp_path / "d",
                stored,
                bits=16,
                PixelPaddingValue=low if low < 0 else None,
                PixelPaddingRangeLimit=high if low < 0 else None,
            )
            if low < 0
            else save_unsigned_padding(tmp_path / "d", stored, low, high)
        )
        image = read_image(path)
        assert (image.pixels[padding] == 0).all()
        assert (image.pixels[~padding] > 0).all()


def save_unsigned_padding(path, stored, low, high):
    """Write padding as unsigned words where the pixels are signed, as some devices do."""
    dataset = make_dicom(stored, bits=16)
    dataset.add_new("PixelPaddingValue", "US", low)
    dataset.add_new("PixelPaddingRangeLimit", "US", high)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_padding_that_no_pixel_has_is_not_noted(tmp_path):
    image = read_image(save_dicom(tmp_path / "d", U12 // 2, PixelPaddingValue=4095))
    np.testing.assert_allclose(image.pixels, U12 // 2 / 4095, atol=1e-6)
    assert "padding" not in notes(image)


# -------------------------------------------------------------------------------------- colour


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [None, ExplicitVRBigEndian])
@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 12), (np.uint16, 16)])
def test_colour_becomes_luminance(tmp_path, planar, syntax, dtype, bits):
    white = 4095 if bits == 16 else 2**bits - 1
    grey = ramp(white, dtype=dtype)
    colour = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)
    stored = np.moveaxis(colour, -1, 0) if planar else colour
    path = tmp_path / "d"
    dataset = make_dicom(colour, bits=bits, photometric="RGB", syntax=syntax)
    dataset.PlanarConfiguration = planar
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    dataset.save_as(path, enforce_file_format=True)
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, colour @ [0.299, 0.587, 0.114] / white, atol=1e-5)
    assert "luminance" in notes(image)


def test_the_luminance_of_subsampled_colours(tmp_path):
    grey = ramp()
    pairs = grey.reshape(-1, 2)
    rest = np.full_like(pairs, 128)
    dataset = make_dicom(grey, bits=8)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.PixelData = np.concatenate([pairs, rest], axis=1).tobytes()
    dataset.save_as(tmp_path / "d", enforce_file_format=True)
    np.testing.assert_allclose(read_image(tmp_path / "d").pixels, grey / 255, atol=1e-6)


def test_colours_without_a_grey_meaning_are_refused(tmp_path):
    for photometric in ("PALETTE COLOR", "HSV", "ARGB", "CMYK", "XYZ"):
        path = save_dicom(tmp_path / "d", ramp(), bits=8, photometric=photometric)
        check_refused_by_name(path, "PhotometricInterpretation (0028,0004)", photometric)
    colour = np.stack([ramp()] * 3, axis=-1)
    path = save_dicom(tmp_path / "d", colour, bits=8, photometric="YBR_PARTIAL_422")
    check_refused_by_name(path, "PhotometricInterpretation (0028,0004)")


def test_an_empty_sequence_is_none(tmp_path):
    plain = read_image(save_dicom(tmp_path / "p", U12)).pixels
    path = save_dicom(tmp_path / "d", U12, VOILUTSequence=[], ModalityLUTSequence=[])
    np.testing.assert_array_equal(read_image(path).pixels, plain)
    path = save_dicom(tmp_path / "d", U12, VOILUTSequence=[Dataset()])
    check_refused_by_name(path, "LUTDescriptor (0028,3002)")
