"""Reading changes nothing that belongs to the whole process, and holds nothing over a fork."""

import io
import logging
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from made_dicoms import ramp, save_dicom, save_image
from PIL import Image, ImageFile
from pydicom.uid import JPEG2000Lossless, RLELossless

from lungpatch.errors import InvalidImageError
from lungpatch.io import read_image


def make_files(folder):
    """One file of each kind that another library decodes."""
    grey = ramp(shape=(60, 70))
    deep = ramp(4095, (60, 70), np.uint16)
    files = [save_image(folder / f"a.{suffix}", grey) for suffix in ("png", "jpg", "gif", "bmp")]
    files.append(save_image(folder / "a.tif", grey, compression="tiff_lzw"))
    tifffile.imwrite(folder / "c.tif", np.stack([deep] * 3, axis=-1), photometric="rgb")
    files += [folder / "c.tif", save_dicom(folder / "d.dcm", deep)]
    files.append(save_dicom(folder / "r.dcm", deep, syntax=RLELossless))
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, format="JPEG2000", no_jp2=True)
    jpeg_2000 = save_dicom(folder / "j.dcm", grey, bits=8)
    from pydicom import dcmread
    from pydicom.encaps import encapsulate

    dataset = dcmread(jpeg_2000)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.save_as(jpeg_2000)
    return [*files, jpeg_2000]


def test_threads_read_what_one_thread_reads(tmp_path):
    files = make_files(tmp_path)
    expected = {path: read_image(path).pixels for path in files}
    with ThreadPoolExecutor(8) as pool:
        for path, image in zip(files * 20, pool.map(read_image, files * 20), strict=True):
            np.testing.assert_array_equal(image.pixels, expected[path])


def settings_of_the_process():
    loggers = [
        logging.getLogger(name) for name in ("PIL", "PIL.TiffImagePlugin", "pydicom", "tifffile")
    ]
    return (
        list(warnings.filters),
        warnings.showwarning,
        [(logger.disabled, logger.level, logger.propagate, logger.handlers) for logger in loggers],
        logging.root.manager.disable,
        ImageFile.LOAD_TRUNCATED_IMAGES,
        Image.MAX_IMAGE_PIXELS,
    )


@pytest.mark.parametrize("truncated", [False, True])
def test_settings_of_the_process_stay_while_others_read(tmp_path, monkeypatch, truncated):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", truncated)
    files = make_files(tmp_path)
    bad = tmp_path / "bad.tif"
    bad.write_bytes(files[4].read_bytes()[:300])
    before = settings_of_the_process()
    stop = threading.Event()

    def read():
        while not stop.is_set():
            for path in files:
                read_image(path)
            with pytest.raises(InvalidImageError):
                read_image(bad)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(1000):
            assert settings_of_the_process() == before
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_other_threads_still_log(tmp_path, caplog):
    """Only what decoders log about a file of ours is dropped."""
    bad = tmp_path / "bad.tif"
    tifffile.imwrite(bad, ramp(1, dtype=np.float64))
    bad.write_bytes(bad.read_bytes()[:-8000])
    rle = save_dicom(tmp_path / "r.dcm", ramp(4095, dtype=np.uint16), syntax=RLELossless)
    rle.write_bytes(rle.read_bytes().replace(b"\x02\0\0\0@\0\0\0", b"\x02\0\0\0\xf0\0\0\0"))
    with caplog.at_level(logging.DEBUG):
        for path in (bad, rle):
            with pytest.raises(InvalidImageError):
                read_image(path)
        assert not caplog.records
        logging.getLogger("tifffile").warning("from elsewhere")
    assert [record.message for record in caplog.records] == ["from elsewhere"]


FORKS = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of forks among threads
from lungpatch.io import read_image

files = sys.argv[1:]
stop = threading.Event()

def read():
    while not stop.is_set():
        for file in files:
            read_image(file)

threading.Thread(target=read, daemon=True).start()
children = []
for number in range(15):
    time.sleep(0.003 * number)  # the first forks fall into the imports of the decoders
    child = os.fork()
    if child == 0:
        for file in files:
            read_image(file)
        os._exit(0)
    children.append(child)
deadline = time.monotonic() + 60
for child in children:
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            for each in children:
                try:
                    os.kill(each, 9)
                except ProcessLookupError:
                    pass
            sys.exit("a child hangs")
        time.sleep(0.01)
    if status:
        sys.exit(f"a child ended with {status}")
stop.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_the_child_of_a_fork_reads_while_the_parent_does(tmp_path):
    files = make_files(tmp_path)
    command = [sys.executable, "-c", FORKS, *map(str, files)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("suffix", ["jpg", "gif", "bmp", "png", "tif"])
def test_damage_is_an_error_also_where_another_library_allows_it(tmp_path, monkeypatch, suffix):
    """Pillow then ignores what its decoders report, in the middle of a file too."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 100), dtype=np.uint8)
    path = save_image(tmp_path / f"n.{suffix}", noise)
    outcomes = []
    for allowed in (False, True):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", allowed)
        results = []
        for position in range(40, path.stat().st_size, path.stat().st_size // 60):
            damaged = bytearray(path.read_bytes())
            damaged[position : position + 4] = b"\xff\xd9\x00\xff"
            other = tmp_path / f"d.{suffix}"
            other.write_bytes(damaged)
            try:
                results.append(read_image(other).pixels.tobytes())
            except InvalidImageError:
                results.append(None)
        outcomes.append(results)
    assert outcomes[0] == outcomes[1]
