"""Whether results can be written, known before work begins."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from lungpatch._utils import destinations
from lungpatch._utils.destinations import check_folder
from lungpatch.errors import DestinationError, LungpatchError


@pytest.mark.parametrize("name", ["", "new", "new/and/deeper", "link", "link/new"])
def test_a_folder_or_a_place_for_one_passes_and_is_left_as_it_was(tmp_path, name):
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    before = sorted(tmp_path.rglob("*"))
    check_folder(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["file", "file/new", "dangling", "dangling/new", "loop/new"])
def test_what_is_no_folder_is_refused_by_name(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DestinationError, match=name) as caught:
        check_folder(tmp_path / name)
    assert "give another path" in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, LungpatchError)


def test_a_name_that_no_file_system_takes_is_refused(tmp_path):
    with pytest.raises(DestinationError, match="cannot be written to"):
        check_folder(tmp_path / ("a" * 300) / "new")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_file_system_that_takes_no_files_is_refused():
    with pytest.raises(DestinationError, match="/proc/results"):
        check_folder("/proc/results")


@pytest.fixture
def read_only():
    """A folder that may be read but not written to, also when the tests run as root."""
    with tempfile.TemporaryDirectory() as name:
        folder, user = Path(name), os.geteuid()
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(65534)  # nobody
        yield folder
        os.seteuid(user)
        folder.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="permissions of POSIX")
@pytest.mark.parametrize("name", ["", "new"])
def test_a_read_only_folder_is_refused(read_only, name):
    with pytest.raises(DestinationError, match="Permission denied"):
        check_folder(read_only / name)


def test_too_little_space_is_said_in_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=49e6))
    check_folder(tmp_path, min_free_megabytes=49)
    with pytest.raises(DestinationError, match="49 MB are free there, and 50 MB are needed"):
        check_folder(tmp_path)


def test_a_disk_that_is_full_in_fact_is_refused(tmp_path, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(destinations.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(DestinationError, match="No space left on device"):
        check_folder(tmp_path)
