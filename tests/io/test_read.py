import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_dicoms import check_refused, ramp, save_dicom
from made_dicoms import save_image as save
from PIL import Image, ImageFile

from lungpatch.errors import (
    LungpatchError,
    MissingInputError,
)
from lungpatch.io import (
    MAX_SIDE,
    MIN_SIDE,
    holds_dicom,
    image_id_of,
    read_image,
)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_eight_bit_grey(tmp_path, suffix):
    levels = ramp()
    image = read_image(save(tmp_path / f"image.{suffix}", levels))
    np.testing.assert_array_equal(image.pixels, levels / np.float32(255))
    assert image.pixels.dtype == np.float32
    assert image.image_id == "image"
    assert image.source == str(tmp_path / f"image.{suffix}")
    assert image.native_shape == (40, 50)
    assert image.pixel_spacing_mm is None


def test_jpeg(tmp_path):
    levels = ramp()
    image = read_image(save(tmp_path / "image.jpg", levels, quality=95))
    np.testing.assert_allclose(image.pixels, levels / 255, atol=0.02)


def test_content_decides_not_the_suffix(tmp_path):
    levels = ramp()
    path = tmp_path / "image.jpg"
    save(path, levels, format="PNG")
    np.testing.assert_array_equal(read_image(path).pixels, levels / np.float32(255))


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp"])
def test_rgb_becomes_luminance(tmp_path, suffix):
    colour = np.stack([ramp(), ramp()[::-1], ramp()[:, ::-1]], axis=-1)
    image = read_image(save(tmp_path / f"c.{suffix}", colour))
    expected = colour @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(image.pixels, expected, atol=0.03 if suffix == "jpg" else 0.003)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_alpha_is_laid_over_black(tmp_path, mode, suffix):
    levels = ramp()
    alpha = np.full_like(levels, 255)
    path = tmp_path / f"a.{suffix}"
    grey = Image.fromarray(levels)
    opaque = Image.merge(mode, [grey] * (len(mode) - 1) + [Image.fromarray(alpha)])
    opaque.save(path)
    np.testing.assert_array_equal(read_image(path).pixels, levels / np.float32(255))
    alpha[:, :25] = 0
    alpha[:, 25:30] = 51
    opaque.putalpha(Image.fromarray(alpha))
    opaque.save(path)
    np.testing.assert_allclose(read_image(path).pixels, levels / 255 * (alpha / 255), atol=1e-6)


def test_palette(tmp_path):
    grey = Image.fromarray(ramp())
    palette = Image.fromarray(255 - ramp())
    palette.putpalette([level for i in range(256) for level in [255 - i] * 3])
    assert palette.mode == "P"
    for suffix in ("png", "gif", "tif"):
        palette.save(tmp_path / f"p.{suffix}")
        pixels = read_image(tmp_path / f"p.{suffix}").pixels
        np.testing.assert_array_equal(pixels, np.asarray(grey) / np.float32(255))


def test_palette_with_transparency_per_entry(tmp_path):
    palette = Image.fromarray(ramp())
    palette.putpalette([level for i in range(256) for level in [i] * 3])
    palette.save(tmp_path / "p.png", transparency=bytes([0] * 100 + [255] * 156))
    expected = np.where(ramp() < 100, 0, ramp()) / 255
    np.testing.assert_allclose(read_image(tmp_path / "p.png").pixels, expected, atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_one_bit(tmp_path, suffix):
    bits = ramp() > 100
    image = read_image(save(tmp_path / f"b.{suffix}", bits))
    np.testing.assert_array_equal(image.pixels, bits)


@pytest.mark.parametrize(
    ("highest", "white"),
    [
        (200, 255),
        (256, 1023),
        (1023, 1023),
        (1024, 4095),
        (4095, 4095),
        (4096, 16383),
        (16384, 65535),
        (65535, 65535),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_takes_the_smallest_depth_that_holds_it(tmp_path, suffix, highest, white):
    levels = ramp(highest, dtype=np.uint16)
    image = read_image(save(tmp_path / f"f.{suffix}", levels))
    np.testing.assert_allclose(image.pixels, levels / white, atol=1e-6)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_of_tifffile(tmp_path, byteorder, compression):
    levels = ramp(60000, dtype=np.uint16)
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, levels, byteorder=byteorder, compression=compression)
    np.testing.assert_allclose(read_image(path).pixels, levels / 65535, atol=1e-6)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_compressed_sixteen_bit_tiff(tmp_path, compression):
    levels = ramp(60000, dtype=np.uint16)
    path = save(tmp_path / "f.tif", levels, compression=compression)
    np.testing.assert_allclose(read_image(path).pixels, levels / 65535, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_tiff(tmp_path, dtype):
    white = np.iinfo(dtype).max
    levels = ramp(white, dtype=dtype)
    tifffile.imwrite(tmp_path / "w.tif", white - levels, photometric="miniswhite")
    np.testing.assert_allclose(read_image(tmp_path / "w.tif").pixels, levels / white, atol=1e-6)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_sixteen_bit_rgb_tiff_keeps_its_depth(tmp_path, planar):
    levels = ramp(4095, dtype=np.uint16)
    colour = np.stack([levels] * 3, axis=-1 if planar == "contig" else 0)
    tifffile.imwrite(tmp_path / "c.tif", colour, photometric="rgb", planarconfig=planar)
    np.testing.assert_allclose(read_image(tmp_path / "c.tif").pixels, levels / 4095, atol=1e-6)


def test_sixteen_bit_rgba_tiff(tmp_path):
    levels = ramp(4095, dtype=np.uint16)
    alpha = np.full_like(levels, 65535)
    alpha[:10] = 0
    colour = np.stack([levels, levels, levels, alpha], axis=-1)
    tifffile.imwrite(tmp_path / "c.tif", colour, photometric="rgb", extrasamples=["unassalpha"])
    expected = levels / 4095 * (alpha > 0)
    np.testing.assert_allclose(read_image(tmp_path / "c.tif").pixels, expected, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, orientation):
    levels = ramp()
    exif = Image.Exif()
    exif[274] = orientation
    turned = {
        1: levels,
        2: levels[:, ::-1],
        3: levels[::-1, ::-1],
        4: levels[::-1],
        5: levels.T,
        6: np.rot90(levels, -1),
        7: levels[::-1, ::-1].T,
        8: np.rot90(levels),
    }[orientation]
    save(tmp_path / "o.png", levels, exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "o.png").pixels, turned / np.float32(255))
    save(tmp_path / "o.jpg", levels, exif=exif, quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "o.jpg").pixels, turned / 255, atol=0.02)
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "o.tif", levels, extratags=tag)
    np.testing.assert_array_equal(read_image(tmp_path / "o.tif").pixels, turned / np.float32(255))
    colour = np.stack([levels.astype(np.uint16) * 257] * 3, axis=-1)
    tifffile.imwrite(tmp_path / "c.tif", colour, photometric="rgb", extratags=tag)
    np.testing.assert_allclose(read_image(tmp_path / "c.tif").pixels, turned / 255, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_tiff_in_unit_range(tmp_path, dtype):
    levels = ramp(1, dtype=dtype)
    tifffile.imwrite(tmp_path / "f.tif", levels)
    np.testing.assert_allclose(read_image(tmp_path / "f.tif").pixels, levels, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32])
def test_tiff_of_unknown_scale_is_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "f.tif", ramp(3000, dtype=dtype) - dtype(1000))
    check_refused(tmp_path / "f.tif", "-1000", "2000", "value_range", "as_chest_image")


def test_nan_tiff_is_refused(tmp_path):
    levels = ramp(1, dtype=np.float32)
    levels[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "f.tif", levels)
    check_refused(tmp_path / "f.tif", "NaN")


def packed_tiff(
    path, levels, bits, *, order="<", rows_per_strip=None, white_is_zero=False, tags=None
):
    """Write a grey TIFF whose samples of ``bits`` bits are packed; ``tags`` are further words."""
    tags = tags or {}
    height, width = levels.shape
    rows_per_strip = rows_per_strip or height
    places = (levels[..., None].astype(np.uint32) >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(places.reshape(height, width * bits).astype(np.uint8), axis=1)
    strips = [
        rows[row : row + rows_per_strip].tobytes() for row in range(0, height, rows_per_strip)
    ]
    if tags.get(266) == 2:
        strips = [
            np.packbits(np.unpackbits(np.frombuffer(s, np.uint8)), bitorder="little").tobytes()
            for s in strips
        ]
    n = len(strips)
    start = 8 + 2 + (9 + len(tags)) * 12 + 4
    first = start + 8 * n
    offsets = [first + sum(map(len, strips[:k])) for k in range(n)]
    counts = [len(strip) for strip in strips]
    fields = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, 1),
        (262, 3, 1, 0 if white_is_zero else 1),
        (273, 4, n, offsets[0] if n == 1 else start),
        (277, 3, 1, 1),
        (278, 4, 1, rows_per_strip),
        (279, 4, n, counts[0] if n == 1 else start + 4 * n),
        *((tag, 3, 1, value) for tag, value in tags.items()),
    ]
    fields.sort()
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(fields))
    for tag, kind, count, value in fields:
        form = "HHIHH" if kind == 3 else "HHII"
        value = (value, 0) if kind == 3 else (value,)
        content += struct.pack(order + form, tag, kind, count, *value)
    content += struct.pack(f"{order}I{n}I{n}I", 0, *offsets, *counts)
    path.write_bytes(content + b"".join(strips))
    return path


@pytest.mark.parametrize("bits", [9, 10, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("part", [1, 0.2])
@pytest.mark.parametrize(("order", "rows_per_strip"), [("<", None), (">", 7)])
def test_the_depth_that_a_tiff_states_is_white(tmp_path, bits, part, order, rows_per_strip):
    levels = ramp(int(part * (2**bits - 1)), (40, 51), np.uint16)
    path = packed_tiff(tmp_path / "p.tif", levels, bits, order=order, rows_per_strip=rows_per_strip)
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, levels / (2**bits - 1), atol=1e-6)
    assert image.reading == (f"white is {2**bits - 1}: the file states {bits} bits",)


@pytest.mark.parametrize("bits", [9, 12, 14])
@pytest.mark.parametrize("rows_per_strip", [None, 7])
def test_packed_bits_in_the_opposite_order(tmp_path, bits, rows_per_strip):
    levels = ramp(2**bits - 1, (40, 51), np.uint16)
    path = packed_tiff(
        tmp_path / "p.tif", levels, bits, rows_per_strip=rows_per_strip, tags={266: 2}
    )
    np.testing.assert_allclose(read_image(path).pixels, levels / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "words"),
    [({339: 2}, "neither whole numbers"), ({317: 2}, "differences"), ({259: 8}, "are damaged")],
)
def test_packed_samples_of_other_kinds_are_refused(tmp_path, tags, words):
    levels = ramp(900, (40, 51), np.uint16)
    tags = dict(tags)
    compression = tags.pop(259, 1)
    path = packed_tiff(tmp_path / "p.tif", levels, 10, tags=tags)
    content = bytearray(path.read_bytes())
    struct.pack_into("<HHIHH", content, 10 + 3 * 12, 259, 3, 1, compression, 0)
    path.write_bytes(content)
    check_refused(path, words)


@pytest.mark.parametrize(
    ("tag", "largest", "white", "reading"),
    [
        (281, 4095, 4095, "the file states 12 bits"),
        (341, 4095, 4095, "the file states 12 bits"),
        (281, 16383, 16383, "the file states 14 bits"),
        (281, 900, 1023, "10 of 16 bits are used"),  # of this image only
        (281, 255, 1023, "10 of 16 bits are used"),
        (281, 65535, 1023, "10 of 16 bits are used"),
        (280, 4095, 1023, "10 of 16 bits are used"),
    ],
)
@pytest.mark.parametrize("colour", [False, True])
def test_the_largest_value_that_a_tiff_of_words_states(
    tmp_path, tag, largest, white, reading, colour
):
    levels = ramp(900, (40, 51), np.uint16)
    tifffile.imwrite(
        tmp_path / "w.tif",
        np.stack([levels] * 3, axis=-1) if colour else levels,
        photometric="rgb" if colour else "minisblack",
        extratags=[(tag, 3, 1, largest, True)],
    )
    image = read_image(tmp_path / "w.tif")
    np.testing.assert_allclose(image.pixels, levels / white, atol=1e-6)
    assert image.reading[0] == f"white is {white}: {reading}"


@pytest.mark.parametrize("colour", [False, True])
def test_a_largest_value_that_is_exceeded_is_not_believed(tmp_path, colour):
    levels = ramp(1024, (40, 51), np.uint16)
    tifffile.imwrite(
        tmp_path / "w.tif",
        np.stack([levels] * 3, axis=-1) if colour else levels,
        photometric="rgb" if colour else "minisblack",
        extratags=[(281, 3, 1, 1023, True)],
    )
    image = read_image(tmp_path / "w.tif")
    np.testing.assert_allclose(image.pixels, levels / 4095, atol=1e-6)
    assert image.reading[0] == "white is 4095: 12 of 16 bits are used"


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_white_is_zero_of_every_depth(tmp_path, bits):
    levels = ramp(2**bits - 1, (40, 51), np.uint16)
    stored = 2**bits - 1 - levels
    path = packed_tiff(tmp_path / "p.tif", stored, bits, order=">", white_is_zero=True)
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, levels / (2**bits - 1), atol=1e-6)
    assert any("white is zero" in note for note in image.reading)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_and_deflated(tmp_path, bits):
    levels = ramp(2**bits - 1, (40, 51), np.uint16)
    path = packed_tiff(tmp_path / "p.tif", levels, bits)
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 10 + 5 * 12 + 8)
    strip = zlib.compress(bytes(content[start:]))
    struct.pack_into("<HHIHH", content, 10 + 3 * 12, 259, 3, 1, 8, 0)
    struct.pack_into("<I", content, 10 + 8 * 12 + 8, len(strip))
    path.write_bytes(content[:start] + strip)
    np.testing.assert_allclose(read_image(path).pixels, levels / (2**bits - 1), atol=1e-6)


def test_a_jpeg_of_twelve_bits_says_so(tmp_path):
    path = save(tmp_path / "j.jpg", ramp())
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 4] = 12
    path.write_bytes(content)
    check_refused(path, "12-bit", "PNG")


def test_a_packed_tiff_that_is_cut_short(tmp_path):
    path = packed_tiff(tmp_path / "p.tif", ramp(1023, dtype=np.uint16), 10)
    path.write_bytes(path.read_bytes()[:-100])
    check_refused(path)


@pytest.mark.parametrize(
    ("bits", "highest", "white"),
    [(12, 900, 4095), (12, 4095, 4095), (10, 900, 1023), (12, 60000, 65535), (14, 20000, 65535)],
)
def test_the_depth_that_a_png_states(tmp_path, bits, highest, white):
    """PNG spreads levels of fewer bits over its words, but not every program does."""
    levels = ramp(highest, dtype=np.uint16)
    path = save(tmp_path / "s.png", levels)
    content = path.read_bytes()
    body = b"sBIT" + bytes([bits])
    chunk = struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(content[:33] + chunk + content[33:])
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, levels / white, atol=1e-6)
    assert "the file states" in image.reading[0]


def test_notes_say_what_was_assumed(tmp_path):
    levels = ramp(900, dtype=np.uint16)
    assert read_image(save(tmp_path / "a.png", levels)).reading == (
        "white is 1023: 10 of 16 bits are used",
    )
    assert read_image(save(tmp_path / "b.png", ramp())).reading == ()
    colour = np.stack([ramp()] * 3, axis=-1)
    assert read_image(save(tmp_path / "c.png", colour)).reading == (
        "colours taken as their luminance",
    )
    exif = Image.Exif()
    exif[274] = 6
    path = save(tmp_path / "d.jpg", ramp(), exif=exif)
    assert read_image(path).reading == ("EXIF orientation 6: rotated by 90 degrees clockwise",)
    assert read_image(path).tags == {}


def test_several_images_are_refused(tmp_path):
    frames = [Image.fromarray(ramp()), Image.fromarray(255 - ramp())]
    for suffix in ("tif", "gif", "png"):
        path = tmp_path / f"m.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        check_refused(path, "2 images")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((2, 40, 50, 3), np.uint16), photometric="rgb")
    check_refused(tmp_path / "c.tif", "2 images")


def test_missing_path(tmp_path):
    check_refused(tmp_path / "no.png", "no such file", error=MissingInputError)
    check_refused(tmp_path / "no" / "where.png", error=MissingInputError)
    file = save(tmp_path / "f.png", ramp())
    check_refused(file / "below.png", error=MissingInputError)


def test_null_byte_in_path():
    with pytest.raises(LungpatchError):
        read_image("a\0b.png")


def test_folder_is_refused(tmp_path):
    check_refused(tmp_path, "folder", "find_images")


def test_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    check_refused(tmp_path / "pipe.png", "regular file")


def test_no_permission(tmp_path, monkeypatch):
    path = save(tmp_path / "f.png", ramp())

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    check_refused(path, "permission")


def test_empty_and_text_files(tmp_path):
    (tmp_path / "e.png").touch()
    check_refused(tmp_path / "e.png", "empty")
    (tmp_path / "t.png").write_text("not an image\n")
    check_refused(tmp_path / "t.png", "known format", "PNG")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "gif", "dcm"])
@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.6, 0.9, 0.97])
def test_half_an_image_is_an_error(tmp_path, suffix, fraction, monkeypatch):
    # As other libraries do at import, for the whole process.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = np.random.default_rng(0).integers(0, 256, (90, 100), dtype=np.uint8)
    path = tmp_path / f"half.{suffix}"
    if suffix == "dcm":
        save_dicom(path, noise, bits=8)
    else:
        save(path, noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * fraction)])
    check_refused(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_damaged_png_is_an_error(tmp_path):
    path = save(tmp_path / "d.png", ramp())
    damaged = bytearray(path.read_bytes())
    damaged[-20] ^= 1  # in the checksum of the pixels, which decoding alone does not look at
    path.write_bytes(damaged)
    check_refused(path)


@pytest.mark.parametrize("shape", [(1, 1), (31, 100), (100, 31)])
def test_too_small(tmp_path, shape):
    check_refused(save(tmp_path / "s.png", ramp(shape=shape)), f"{shape[0]}x{shape[1]}", "32")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_too_large(tmp_path, suffix):
    path = save(tmp_path / f"l.{suffix}", np.zeros((40, 20_000), np.uint8))
    check_refused(path, "40x20000", "10000")
    path = tmp_path / f"huge.{suffix}"
    Image.new("1", (20_000, 20_000)).save(path)
    check_refused(path, "10000")


def test_largest_and_smallest_are_read(tmp_path):
    image = read_image(save(tmp_path / "l.png", ramp(shape=(MIN_SIDE, MAX_SIDE))))
    assert image.shape == (MIN_SIDE, MAX_SIDE)


def test_large_file_warns_nobody(tmp_path):
    # 100 million pixels, above the level at which Pillow warns of a decompression bomb.
    large = Image.new("L", (10_000, 9_500))
    large.putpixel((5, 5), 255)
    large.save(tmp_path / "l.png", compress_level=1)
    assert read_image(tmp_path / "l.png").shape == (9_500, 10_000)


@pytest.mark.parametrize("level", [0, 7, 255])
def test_constant(tmp_path, level):
    check_refused(save(tmp_path / "c.png", np.full((40, 50), level, np.uint8)), "one value")


def test_sixteen_bit_colour_png_of_few_bits(tmp_path):
    # Pillow reads only the high byte of each sample.
    levels = np.repeat(ramp(4095, dtype=np.uint16)[..., None], 3, axis=-1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 50, 40, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    (tmp_path / "c.png").write_bytes(png + chunk(b"IEND", b""))
    check_refused(tmp_path / "c.png", "16-bit grey")


def test_import_is_light():
    code = (
        "import sys, lungpatch.io; "
        "heavy = {'torch', 'skimage', 'pydicom', 'tifffile', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_image_is_named_after_its_file(tmp_path):
    path = tmp_path / "a.b.png"
    Image.linear_gradient("L").save(path)
    assert read_image(path).image_id == image_id_of(path) == "a.b"
    # A DICOM UID's last number is no suffix.
    assert image_id_of(tmp_path / "1.2.840") == "1.2.840"


def test_dicom_is_told_by_its_content(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"\0" * 128 + b"DICM")
    assert holds_dicom(path)
    path.write_bytes(b"DICM")
    assert not holds_dicom(path)
    assert not holds_dicom(tmp_path / "nothing")
