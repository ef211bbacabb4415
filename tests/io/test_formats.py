"""What a file is, by its content: DICOM in all its wrappings, indexes, results of our own."""

import io

import numpy as np
import pytest
import tifffile
from made_detections import make_detection
from made_dicoms import (
    check_refused_by_name,
    make_dicom,
    ramp,
    save_dicom,
    save_image,
    save_without_preamble,
)
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from lungpatch.containers import ColourScale, LungMask
from lungpatch.io import find_images, holds_dicom, read_image, read_mask
from lungpatch.reports import (
    SegmentationSheets,
    draw_lungs,
    write_anomaly_map,
    write_mask,
    write_overlay,
)

U12 = ramp(4095, dtype=np.uint16)
TIFF_LE = b"II*\0\x08\0\0\0" + b"\x01\0" * 30
PREAMBLES = {
    "zeros": bytes(128),
    "TIFF": TIFF_LE.ljust(128, b"\0"),
    "big-endian TIFF": b"MM\0*\0\0\0\x08".ljust(128, b"\0"),
    "BigTIFF": b"II+\0\x08\0\0\0".ljust(128, b"\0"),
    "JPEG": b"\xff\xd8\xff\xe0".ljust(128, b"\0"),
    "PNG": b"\x89PNG\r\n\x1a\n".ljust(128, b"\0"),
    "BMP": b"BM".ljust(128, b"\1"),
    "GIF": b"GIF89a".ljust(128, b"\xff"),
    "text": b"made by a device".ljust(128),
    "prefix": b"DICM".ljust(128, b"\0"),
    "elements": (b"\x08\0\x05\0CS\x02\0AB" * 13)[:128],
}


@pytest.mark.parametrize("name", ["d.dcm", "d", "d.tif", "d.png"])
@pytest.mark.parametrize("preamble", PREAMBLES)
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_dicom_whatever_its_preamble(tmp_path, preamble, syntax, name):
    path = save_dicom(tmp_path / name, U12, syntax=syntax)
    path.write_bytes(PREAMBLES[preamble] + path.read_bytes()[128:])
    np.testing.assert_allclose(read_image(path).pixels, U12 / 4095, atol=1e-6)
    assert holds_dicom(path)
    assert find_images(tmp_path) == [path]


@pytest.mark.parametrize("name", ["IM0001", "d.dcm", "1.2.840.1", "d.IMA", "d.dic", "d.img", "d.x"])
@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("group_length", [True, False])
def test_dicom_without_preamble(tmp_path, implicit, little, group_length, name):
    syntax = None if little else ExplicitVRBigEndian
    dataset = make_dicom(U12, syntax=syntax, Modality="CR", ImageType=["ORIGINAL", "PRIMARY"])
    if group_length:
        dataset.add_new(0x00080000, "UL", 100)
    path = save_without_preamble(tmp_path / name, dataset, implicit=implicit, little=little)
    assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_allclose(read_image(path).pixels, U12 / 4095, atol=1e-6)
    assert holds_dicom(path)
    assert find_images(tmp_path) == [path]


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
@pytest.mark.parametrize("start", [132, 128], ids=["without DICM", "with DICM"])
def test_meta_information_without_preamble(tmp_path, syntax, start):
    path = save_dicom(tmp_path / "d", U12, syntax=syntax)
    path.write_bytes(path.read_bytes()[start:])
    np.testing.assert_allclose(read_image(path).pixels, U12 / 4095, atol=1e-6)
    assert find_images(tmp_path) == [path]


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_elements_after_the_prefix_alone(tmp_path, implicit, little):
    dataset = make_dicom(U12, syntax=None if little else ExplicitVRBigEndian)
    path = save_without_preamble(tmp_path / "d", dataset, implicit=implicit, little=little)
    path.write_bytes(b"DICM" + path.read_bytes())
    np.testing.assert_allclose(read_image(path).pixels, U12 / 4095, atol=1e-6)
    assert find_images(tmp_path) == [path]


def test_what_is_no_dicom(tmp_path):
    (tmp_path / "text").write_bytes(b"DICM is a prefix of files; this is a text, and a long one.")
    rng = np.random.default_rng(0)
    for number in range(300):
        (tmp_path / f"r{number}").write_bytes(rng.bytes(3000))
        words = rng.integers(0, 40, 1500, dtype=np.uint16)
        (tmp_path / f"w{number}").write_bytes(words.tobytes())
    for name, content in {
        "a.img": bytes(5000),
        "b.txt": b"0008,0005 CS ISO_IR 100\n" * 100,
        "c.json": b'{"00080005": {}}',
        "e": b"\x08\0\x05\0CS\x0a\0ISO_IR 100",  # one element is not enough
        "f.nii": (348).to_bytes(4, "little") + bytes(3000),
    }.items():
        (tmp_path / name).write_bytes(content)
    found = save_image(tmp_path / "only.png", ramp())
    assert find_images(tmp_path) == [found]


# ------------------------------------------------------------------------------------ DICOMDIR


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "index.dcm", "INDEX"])
def test_a_dicomdir_is_no_image(tmp_path, name):
    image = save_dicom(tmp_path / "IM1", U12)
    index = Dataset()
    index.file_meta = FileMetaDataset()
    index.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    index.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    index.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    index.FileSetID = "CD"
    index.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    index.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    index.FileSetConsistencyFlag = 0
    index.DirectoryRecordSequence = []
    index.save_as(tmp_path / name, enforce_file_format=True)
    assert find_images(tmp_path) == [image]
    assert not holds_dicom(tmp_path / name)
    check_refused_by_name(tmp_path / name, "DICOMDIR")
    save_without_preamble(tmp_path / name, index, implicit=False, little=True)
    assert find_images(tmp_path) == [image]
    check_refused_by_name(tmp_path / name, "DICOMDIR")


# -------------------------------------------------------------------------------- what we wrote


def write_results(folder):
    """Every kind of image file that lungpatch writes as a result, by a name that says nothing."""
    detection = make_detection()
    lungs = LungMask(pixels=detection.native_lungs)
    write_overlay(folder / "a.png", detection, ColourScale(low=0.0, high=1.0))
    write_anomaly_map(folder / "b.tiff", detection)
    write_mask(folder / "c.png", lungs.pixels)
    with SegmentationSheets(folder) as sheets:
        sheets.add(draw_lungs(detection.image, lungs), "x")
    sheets.paths[0].rename(folder / "d.png")
    return [folder / name for name in ("a.png", "b.tiff", "c.png", "d.png")]


def test_results_are_no_images_whatever_their_names(tmp_path):
    results = write_results(tmp_path)
    image = save_image(tmp_path / "image.png", ramp())
    assert find_images(tmp_path) == [image]
    for path in results:
        check_refused_by_name(path, "lungpatch wrote")
    assert read_mask(tmp_path / "c.png").any()
    assert np.isnan(tifffile.imread(tmp_path / "b.tiff")).any()


def test_results_are_known_by_their_names_too(tmp_path):
    grey = ramp()
    for name in ("a.overlay.jpg", "a.mask.png", "segmentations-001.png", "segmentations-1234.png"):
        save_image(tmp_path / name, grey)
    tifffile.imwrite(tmp_path / "a.anomaly.tiff", grey)
    others = [
        save_image(tmp_path / name, grey)
        for name in ("mask.png", "segmentations.png", "xsegmentations-001.png")
    ]
    assert find_images(tmp_path) == others


def test_a_mark_far_inside_a_file_means_nothing(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(ramp()).save(stream, format="PNG")
    path = tmp_path / "a.png"
    path.write_bytes(stream.getvalue() + b"lungpatch")
    assert find_images(tmp_path) == [path]
    read_image(path)
