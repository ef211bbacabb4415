"""Headers that are wrong: the message names the tag, its value and what to do."""

import io
import zlib

import numpy as np
import pydicom
import pytest
from made_dicoms import (
    check_refused,
    check_refused_by_name,
    make_dicom,
    ramp,
    save_dicom,
    save_image,
    save_raw_text,
)
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from lungpatch.errors import InvalidImageError
from lungpatch.io import read_image

U12 = ramp(4095, dtype=np.uint16)
NAMES = {
    "Rows": "Rows (0028,0010)",
    "Columns": "Columns (0028,0011)",
    "BitsAllocated": "BitsAllocated (0028,0100)",
    "BitsStored": "BitsStored (0028,0101)",
    "PixelRepresentation": "PixelRepresentation (0028,0103)",
    "PhotometricInterpretation": "PhotometricInterpretation (0028,0004)",
}
SYNTAXES = [None, ImplicitVRLittleEndian, ExplicitVRBigEndian]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("keyword", NAMES)
def test_a_needed_tag_is_missing_or_empty(tmp_path, keyword, syntax):
    dataset = make_dicom(U12, syntax=syntax)
    setattr(dataset, keyword, "" if keyword == "PhotometricInterpretation" else None)
    dataset.save_as(tmp_path / "empty", enforce_file_format=True)
    check_refused_by_name(tmp_path / "empty", f"has no {NAMES[keyword]}")
    path = save_dicom(tmp_path / "missing", U12, syntax=syntax, **{keyword: None})
    check_refused_by_name(path, f"has no {NAMES[keyword]}")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("keyword", "assumed"), [("HighBit", "HighBit: 11"), ("SamplesPerPixel", "SamplesPerPixel: 1")]
)
def test_tags_that_follow_from_others_are_assumed_and_noted(tmp_path, keyword, assumed, syntax):
    image = read_image(save_dicom(tmp_path / "d", U12, syntax=syntax, **{keyword: None}))
    np.testing.assert_allclose(image.pixels, U12 / 4095, atol=1e-6)
    assert any(f"no {assumed} assumed" in note for note in image.reading)


def test_colours_without_a_planar_configuration(tmp_path):
    colour = np.stack([ramp(), ramp()[::-1], ramp()], axis=-1)
    path = save_dicom(tmp_path / "d", colour, bits=8, photometric="RGB", PlanarConfiguration=None)
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, colour @ [0.299, 0.587, 0.114] / 255, atol=1e-5)
    assert "no PlanarConfiguration: 0 assumed" in image.reading


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("BitsAllocated", 12),
        ("BitsAllocated", 32),
        ("BitsStored", 7),
        ("BitsStored", 17),
        ("PixelRepresentation", 2),
        ("SamplesPerPixel", 3),
        ("SamplesPerPixel", 4),
    ],
)
def test_values_that_no_grey_image_has(tmp_path, keyword, value):
    path = save_dicom(tmp_path / "d", U12, **{keyword: value})
    check_refused_by_name(path, f"{keyword} (0028,", str(value))


def test_more_bits_stored_than_allocated(tmp_path):
    path = save_dicom(tmp_path / "d", ramp(), bits=8, BitsStored=12)
    check_refused_by_name(path, "BitsStored (0028,0101)", "BitsAllocated (0028,0100)", "12")


@pytest.mark.parametrize("keyword", ["Rows", "BitsStored", "HighBit", "PixelRepresentation"])
def test_several_values_where_one_belongs(tmp_path, keyword):
    dataset = make_dicom(U12)
    one = dataset[keyword].value
    setattr(dataset, keyword, [one, one])
    dataset.save_as(tmp_path / "same", enforce_file_format=True)
    np.testing.assert_allclose(read_image(tmp_path / "same").pixels, U12 / 4095, atol=1e-6)
    setattr(dataset, keyword, [one, one + 1])
    dataset.save_as(tmp_path / "other", enforce_file_format=True)
    check_refused_by_name(tmp_path / "other", f"{keyword} (0028,", "2 values")


def test_a_number_of_the_wrong_length(tmp_path):
    path = save_dicom(tmp_path / "d", U12)
    content = path.read_bytes()
    rows = b"\x28\0\x10\0US\x02\0\x28\0"
    assert rows in content
    path.write_bytes(content.replace(rows, b"\x28\0\x10\0US\x03\0\x28\0\0"))
    check_refused(path, "Rows (0028,0010)", "3 bytes")


DECIMALS = {
    "WindowCenter": "(0028,1050)",
    "WindowWidth": "(0028,1051)",
    "RescaleSlope": "(0028,1053)",
    "RescaleIntercept": "(0028,1052)",
    "PixelSpacing": "(0028,0030)",
    "ImagerPixelSpacing": "(0018,1164)",
}


@pytest.mark.parametrize("keyword", DECIMALS)
@pytest.mark.parametrize("value", ["2000,5", "abc", "0x10", "1 2", "nan", "1e999", "1.5.0"])
def test_what_is_no_decimal_number(tmp_path, keyword, value):
    others = {"WindowCenter": 2000, "WindowWidth": 900, "RescaleSlope": 1, "RescaleIntercept": 0}
    others |= {"PixelSpacing": [1, 1], "ImagerPixelSpacing": [1, 1]}
    if keyword == "ImagerPixelSpacing":
        del others["PixelSpacing"]
    path = save_dicom(tmp_path / "d.dcm", U12, **others)
    path = save_raw_text(path, keyword, f"{value}\\{value}" if "Spacing" in keyword else value)
    words = [f"{keyword} {DECIMALS[keyword]}"]
    if value == "2000,5":
        words += ["2000,5", "comma", "point"]
    elif value != "1e999":
        words += [value, "no number"]
    check_refused_by_name(path, *words)


@pytest.mark.parametrize("value", ["2000", " 2000.0 ", "+2.0E+03", "2e3", "2000\\", "2000\\100"])
def test_decimal_numbers_as_they_are_written(tmp_path, value):
    path = save_dicom(tmp_path / "d.dcm", U12, WindowCenter=1, WindowWidth=1001)
    path = save_raw_text(path, "WindowCenter", value)
    expected = np.clip((U12 - 1999.5) / 1000 + 0.5, 0, 1)
    np.testing.assert_allclose(read_image(path).pixels, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ([0.2, 0.3], (0.2, 0.3)),
        ([0.2, 0], None),
        ([0, 0.3], None),
        ([0, 0], None),
        ([-0.2, 0.3], None),
        ([0.2], None),
        ([0.2, 0.3, 0.4], None),
        ("", None),
    ],
)
@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing"])
def test_spacing_is_two_positive_numbers_or_none(tmp_path, keyword, spacing, expected):
    image = read_image(save_dicom(tmp_path / "d", U12, **{keyword: spacing}))
    assert image.pixel_spacing_mm == expected
    noted = any(note.startswith(f"{keyword} ") for note in image.reading)
    assert noted == (expected is None and spacing != "")


def test_the_spacing_of_the_detector_where_that_of_the_image_is_unusable(tmp_path):
    both = {"PixelSpacing": [0.2, 0], "ImagerPixelSpacing": [0.4, 0.5]}
    assert read_image(save_dicom(tmp_path / "d", U12, **both)).pixel_spacing_mm == (0.4, 0.5)


@pytest.mark.parametrize("value", ["3", "-1", "99999"])
def test_frames(tmp_path, value):
    path = save_dicom(tmp_path / "d", U12, NumberOfFrames=value)
    check_refused_by_name(path, f"{value} frames", "export")


@pytest.mark.parametrize("value", ["1", "", "0"])
def test_one_frame(tmp_path, value):
    path = save_dicom(tmp_path / "d", U12, NumberOfFrames=value)
    np.testing.assert_allclose(read_image(path).pixels, U12 / 4095, atol=1e-6)


def test_a_number_of_frames_that_is_none(tmp_path):
    path = save_dicom(tmp_path / "d.dcm", U12, NumberOfFrames=1)
    check_refused_by_name(
        save_raw_text(path, "NumberOfFrames", "1A"), "NumberOfFrames (0028,0008)", "'1A'"
    )


# -------------------------------------------------------------------------------- sizes, pixels


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("elements", "word"),
    [
        ({"Columns": 49}, "more"),
        ({"Rows": 39}, "more"),
        ({"Columns": 51}, "fewer"),
        ({"Rows": 41}, "fewer"),
        ({"Rows": 20, "Columns": 50}, "more"),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "more"),
    ],
)
def test_sizes_that_contradict_the_pixels(tmp_path, elements, word, syntax):
    path = save_dicom(tmp_path / "d", U12, syntax=syntax, **elements)
    named = [f"{name} {value}" for name, value in elements.items() if "Stored" not in name]
    named = [word_ for word_ in named if not word_.startswith("HighBit")]
    check_refused_by_name(path, "PixelData (7FE0,0010) holds 4000 bytes", word, *named)


def test_padding_after_the_pixels_is_not_read(tmp_path):
    odd = ramp(shape=(41, 51))
    path = save_dicom(tmp_path / "d", odd, bits=8, PixelData=odd.tobytes() + b"\0")
    np.testing.assert_allclose(read_image(path).pixels, odd / 255, atol=1e-6)
    path = save_dicom(tmp_path / "d", U12, PixelData=U12.tobytes() + bytes(2))
    np.testing.assert_allclose(read_image(path).pixels, U12 / 4095, atol=1e-6)
    path = save_dicom(tmp_path / "d", U12, PixelData=U12.tobytes() + bytes(4))
    check_refused_by_name(path, "holds 4004 bytes, more than the 4000")


def test_sizes_that_are_both_wrong(tmp_path):
    """51 x 39 instead of 40 x 50: nearly as many pixels."""
    path = save_dicom(tmp_path / "d", U12, Rows=51, Columns=39)
    check_refused_by_name(path, "PixelData (7FE0,0010) holds 4000 bytes", "Rows 51", "Columns 39")


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
def test_sizes_of_zero(tmp_path, keyword):
    path = save_dicom(tmp_path / "d", U12, **{keyword: 0})
    check_refused_by_name(path, f"its {keyword} (0028,", "is 0, outside 1 to 65535")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_empty_and_missing_pixels(tmp_path, syntax):
    path = save_dicom(tmp_path / "d", U12, syntax=syntax, PixelData=b"")
    check_refused_by_name(path, "PixelData (7FE0,0010) is empty")
    path = save_dicom(tmp_path / "d", U12, syntax=syntax, PixelData=None)
    check_refused_by_name(path, "without pixel data", "Secondary Capture")
    dataset = make_dicom(U12, syntax=syntax, PixelData=None)
    dataset.FloatPixelData = U12.astype(np.float32).tobytes()
    dataset.save_as(tmp_path / "d", enforce_file_format=True)
    check_refused_by_name(tmp_path / "d", "floating-point", "PixelData (7FE0,0010)")


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_pixels_that_are_cut_short(tmp_path, syntax):
    path = save_dicom(tmp_path / "d", U12, syntax=syntax)
    whole = path.read_bytes()
    for length in range(len(whole) - 1, 0, -len(whole) // 40):
        path.write_bytes(whole[:length])
        try:
            image = read_image(path)
        except InvalidImageError:
            continue
        # Only the end mark of the items was lost.
        assert syntax == RLELossless
        assert length > len(whole) - 8
        np.testing.assert_allclose(image.pixels, U12 / 4095, atol=1e-6)
    path.write_bytes(whole[:-1000])
    check_refused(path, "PixelData")


# --------------------------------------------------------------------------------- compression


def compressed(path, stream, syntax, *, n_frames=1, **options):
    """Write a file whose pixels are compressed streams."""
    dataset = make_dicom(**options)
    dataset.PixelData = encapsulate([stream] * n_frames)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


def stream_of(array, form, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format=form, **options)
    return stream.getvalue()


def test_jpeg_and_jpeg_2000(tmp_path):
    grey = ramp(shape=(64, 72))
    path = compressed(
        tmp_path / "a", stream_of(grey, "JPEG", quality=98), JPEGBaseline8Bit, stored=grey, bits=8
    )
    np.testing.assert_allclose(read_image(path).pixels, grey / 255, atol=0.02)
    stream = stream_of(grey, "JPEG2000", no_jp2=True)
    for syntax in (JPEG2000, JPEG2000Lossless):
        path = compressed(tmp_path / "b", stream, syntax, stored=grey, bits=8)
        np.testing.assert_allclose(read_image(path).pixels, grey / 255, atol=1e-6)
    deep = ramp(4095, (64, 72), np.uint16)
    stream = stream_of(deep, "JPEG2000", no_jp2=True)
    path = compressed(tmp_path / "c", stream, JPEG2000Lossless, stored=deep, bits=16)
    np.testing.assert_allclose(read_image(path).pixels, deep / 4095, atol=1e-6)


@pytest.mark.parametrize(("form", "syntax"), [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000)])
def test_compressed_pixels_of_another_size(tmp_path, form, syntax):
    grey = ramp(shape=(64, 72))
    options = {"no_jp2": True} if form == "JPEG2000" else {}
    stream = stream_of(grey, form, **options)
    path = compressed(tmp_path / "d", stream, syntax, stored=ramp(shape=(64, 70)), bits=8)
    check_refused_by_name(path, "64x72", "Rows (0028,0010) is 64", "Columns (0028,0011) 70")


@pytest.mark.parametrize(
    ("form", "syntax"),
    [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000), (None, RLELossless)],
)
def test_several_compressed_frames_of_which_the_header_says_nothing(tmp_path, form, syntax):
    grey = ramp(shape=(64, 72))
    if form is None:
        dataset = make_dicom(grey, bits=8, syntax=RLELossless)
        stream = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    else:
        options = {"no_jp2": True} if form == "JPEG2000" else {}
        stream = stream_of(grey, form, **options)
    path = compressed(tmp_path / "d", stream, syntax, n_frames=2, stored=grey, bits=8)
    check_refused_by_name(path, "2 frames")


def test_decoded_values_beyond_the_bits_stored(tmp_path):
    deep = ramp(60000, (64, 72), np.uint16)
    stream = stream_of(deep, "JPEG2000", no_jp2=True)
    path = compressed(tmp_path / "d", stream, JPEG2000Lossless, stored=deep, bits=12)
    check_refused_by_name(path, "BitsStored (0028,0101) 12")


def twelve_bit_jpeg():
    """Only the beginning of one: that is all that is looked at where nothing can decode it."""
    frame = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc1\x00\x0b\x0c\x00\x40\x00\x48\x01\x01\x11\x00"
    return frame + b"\xff\xd9"


def test_twelve_bit_jpeg_names_the_decoder(tmp_path, monkeypatch):
    from pydicom.pixels.decoders import JPEGBaseline8BitDecoder, JPEGExtended12BitDecoder

    for decoder in (JPEGBaseline8BitDecoder, JPEGExtended12BitDecoder):
        only = {"pillow": decoder._available["pillow"]}
        monkeypatch.setattr(decoder, "_available", only)
    for syntax in (JPEGExtended12Bit, JPEGBaseline8Bit):
        path = compressed(
            tmp_path / "d", twelve_bit_jpeg(), syntax, stored=ramp(4095, (64, 72), np.uint16)
        )
        check_refused_by_name(path, "12-bit JPEG", syntax, "pip install", "pylibjpeg-libjpeg")


@pytest.mark.parametrize(
    ("syntax", "package"),
    [
        ("1.2.840.10008.1.2.4.57", "pylibjpeg-libjpeg"),
        ("1.2.840.10008.1.2.4.70", "pylibjpeg-libjpeg"),
        (JPEGLSLossless, "pylibjpeg-libjpeg"),
        ("1.2.840.10008.1.2.4.81", "pylibjpeg-libjpeg"),
        (JPEG2000, "pylibjpeg-openjpeg"),
        ("1.2.840.10008.1.2.4.201", "pylibjpeg-openjpeg"),
        ("1.2.840.10008.1.2.4.203", "pylibjpeg-openjpeg"),
    ],
)
def test_every_syntax_without_a_decoder_names_one(tmp_path, monkeypatch, syntax, package):
    from pydicom.pixels.decoders.base import get_decoder

    monkeypatch.setattr(get_decoder(syntax), "_available", {})
    path = compressed(tmp_path / "d", b"\xff\xd8", syntax, stored=ramp(), bits=8)
    check_refused_by_name(path, syntax, "pip install", package)


def replace_syntax(path, old, new):
    """Write another transfer syntax of at most the same length, which pydicom would refuse."""
    content = path.read_bytes()
    width = len(old) + len(old) % 2
    assert content.count(old.encode().ljust(width, b"\0")) == 1
    path.write_bytes(
        content.replace(old.encode().ljust(width, b"\0"), new.encode().ljust(width, b"\0"))
    )


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.99", "1.2.840.10008.1.2.9.9", "1.2.3.4.5"])
def test_a_syntax_that_pydicom_does_not_decode(tmp_path, syntax):
    path = compressed(tmp_path / "d", b"\xff\xd8", JPEGBaseline8Bit, stored=ramp(), bits=8)
    replace_syntax(path, JPEGBaseline8Bit, syntax)
    check_refused_by_name(path, syntax, "uncompressed")


def test_items_and_syntax_contradict_each_other(tmp_path):
    path = compressed(tmp_path / "d", b"\xff\xd8", JPEGBaseline8Bit, stored=ramp(), bits=8)
    replace_syntax(path, JPEGBaseline8Bit, ExplicitVRLittleEndian)
    check_refused_by_name(path, "PixelData (7FE0,0010) is divided into items", "Explicit VR")
    path = save_dicom(tmp_path / "e", ramp(), bits=8)
    replace_syntax(path, ExplicitVRLittleEndian, RLELossless)
    check_refused_by_name(path, "PixelData (7FE0,0010) is not divided into items", "RLE")


# ------------------------------------------------------------------------------------- deflated


def deflated(path, dataset_bytes):
    """Write a dataset's bytes deflated, behind the meta information of that syntax."""
    path = save_dicom(path, ramp(), bits=8, syntax=DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    length = int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(dataset_bytes) + packer.flush()
    path.write_bytes(content[: 144 + length] + packed + b"\0" * (len(packed) % 2))
    return path


def dataset_bytes(**options):
    stream = io.BytesIO()
    dataset = make_dicom(**options)
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=True)
    content = stream.getvalue()
    return content[content.index(b"\x08\0\x16\0UI") :]


def test_deflated(tmp_path):
    path = save_dicom(tmp_path / "d", U12, syntax=DeflatedExplicitVRLittleEndian)
    np.testing.assert_allclose(read_image(path).pixels, U12 / 4095, atol=1e-6)
    large = np.random.default_rng(0).integers(0, 4096, (1600, 1700), dtype=np.uint16)
    path = deflated(tmp_path / "e", dataset_bytes(stored=large))  # more than its header's part
    np.testing.assert_allclose(read_image(path).pixels, large / 4095, atol=1e-6)


@pytest.mark.parametrize("kind", ["pixels", "sizes", "before", "after"])
def test_a_deflated_bomb_is_refused_before_memory_is_taken(tmp_path, kind):
    """Up to 1 GB from 1 MB."""
    import tracemalloc

    zeros = bytes(2**29)
    whole = dataset_bytes(stored=U12)
    if kind == "after":  # a private element behind the pixels
        whole += b"\xfc\xff\xfc\xff" + b"OB\0\0" + len(zeros).to_bytes(4, "little") + zeros
    elif kind == "before":
        private = b"\x09\0\x10\x10OB\0\0" + len(zeros).to_bytes(4, "little") + zeros
        whole = private + whole
    else:
        start = whole.index(b"\xe0\x7f\x10\0")
        whole = whole[: start + 8] + len(zeros).to_bytes(4, "little") + zeros
    if kind == "sizes":
        rows = b"\x28\0\x10\0US\x02\0"
        at = whole.index(rows) + len(rows)
        whole = whole[:at] + (60000).to_bytes(2, "little") + whole[at + 2 :]
    path = deflated(tmp_path / "d", whole)
    del whole, zeros
    assert path.stat().st_size < 2**20
    read_image(save_image(tmp_path / "a.png", ramp()))  # imports
    tracemalloc.start()
    try:
        if kind == "after":
            np.testing.assert_allclose(read_image(path).pixels, U12 / 4095, atol=1e-6)
        else:
            check_refused(path)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


def test_damaged_deflated_data(tmp_path):
    path = save_dicom(tmp_path / "d", U12, syntax=DeflatedExplicitVRLittleEndian)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    path.write_bytes(whole[:start] + b"\xff" * 100 + whole[start + 100 :])
    check_refused(path, "deflated", "damaged")
    for length in range(start, len(whole) - 8, 200):
        path.write_bytes(whole[:length])
        check_refused(path)


# ---------------------------------------------------------------------------- what else is there


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_pixels_of_an_icon_are_not_those_of_the_image(tmp_path, syntax):
    icon = make_dicom(ramp(shape=(64, 64))[::-1], bits=8)
    del icon.file_meta
    path = save_dicom(
        tmp_path / "d",
        U12,
        syntax=syntax,
        IconImageSequence=[icon],
        ReferencedImageSequence=[pydicom.Dataset()],
    )
    np.testing.assert_allclose(read_image(path).pixels, U12 / 4095, atol=1e-6)


def test_a_planar_configuration_that_is_none(tmp_path):
    colour = np.stack([ramp()] * 3, axis=-1)
    path = save_dicom(tmp_path / "d", colour, bits=8, photometric="RGB", PlanarConfiguration=2)
    check_refused_by_name(path, "PlanarConfiguration (0028,0006) is 2")


def test_tags_say_what_kind_of_image_it_is(tmp_path):
    view = pydicom.Dataset()
    view.CodeMeaning = "postero-anterior"
    path = save_dicom(
        tmp_path / "d",
        U12,
        Modality="DX",
        BodyPartExamined="CHEST",
        ViewPosition="PA",
        ImageType=["ORIGINAL", "PRIMARY"],
        PatientID="007",
        PatientName="Doe^Jane",
        StudyInstanceUID="1.2.3",
        ViewCodeSequence=[view],
        SeriesDescription="",
    )
    tags = read_image(path).tags
    assert tags["Modality"] == "DX"
    assert tags["ImageType"] == "ORIGINAL\\PRIMARY"
    assert tags["PatientID"] == "007"
    assert tags["ViewCodeMeaning"] == "postero-anterior"
    assert tags["SOPInstanceUID"] == pydicom.dcmread(path).SOPInstanceUID
    assert "SeriesDescription" not in tags
    assert not any("Doe" in value for value in tags.values())
    assert all(isinstance(value, str) for value in tags.values())
