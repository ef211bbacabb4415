"""A small run of benchmarks/fuzz_reading.py: damaged files give an image or a proper error."""

import importlib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def fuzz_reading():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
        yield importlib.import_module("fuzz_reading")


# Pillow warns of the EXIF data of every big-endian BigTIFF.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_the_undamaged_files_are_read(tmp_path, fuzz_reading):
    for kind, content in fuzz_reading.whole_files().items():
        path = tmp_path / "image"
        path.write_bytes(content)
        outcome = fuzz_reading.read(path, kind)
        assert outcome.result == "image", outcome


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("hundred", range(6))
def test_damaged_files_are_read_or_refused_by_name(tmp_path, fuzz_reading, hundred):
    formats = set()
    for number in range(100 * hundred, 100 * hundred + 100):
        kind, content = fuzz_reading.damaged_file(number, seed=1)
        formats.add(kind.split()[0])
        path = tmp_path / f"image-{number}"
        path.write_bytes(content)
        outcome = fuzz_reading.read(path, kind)
        assert outcome.result in ("image", "refused"), (number, outcome)
        assert outcome.seconds < fuzz_reading.MAX_SECONDS, (number, outcome)
        path.unlink()
    assert formats == {"PNG", "JPEG", "TIFF", "BMP", "GIF", "DICOM"}


def test_the_same_number_is_the_same_file(fuzz_reading):
    assert fuzz_reading.damaged_file(5, 3) == fuzz_reading.damaged_file(5, 3)
    assert fuzz_reading.damaged_file(5, 3) != fuzz_reading.damaged_file(6, 3)
