"""A real Orthanc with its DICOMweb plugin on the loopback, for as long as a test needs it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "reader", "open sesame"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def orthanc(folder: Path, *, with_password: bool = False) -> Iterator[str]:
    """Run Orthanc and yield the root of its DICOMweb services; skips where it is missing."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.exists():
        pytest.skip("Orthanc is missing (Debian: apt-get install orthanc orthanc-dicomweb)")
    http, dicom = _free_ports(2)
    settings = {
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": with_password,
        "RegisteredUsers": {USER: PASSWORD},
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "OverwriteInstances": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen([program, file], stdout=log, stderr=subprocess.STDOUT)
    root = f"http://127.0.0.1:{http}"
    try:
        _wait_until_it_answers(server, root, folder / "log.txt")
        yield f"{root}/dicom-web"
    finally:
        server.terminate()
        server.wait(30)


def _wait_until_it_answers(server: subprocess.Popen[bytes], root: str, log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            break
        try:
            requests.get(f"{root}/system", auth=(USER, PASSWORD), timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.05)
    pytest.fail(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")
