"""The commands that talk to DICOMweb servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungpatch.cli.exit_status import SOME_FAILED
from lungpatch.cli.printing import print_failures
from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lungpatch.archive import DicomServer, TransferCounts

Url = Annotated[
    str,
    typer.Argument(
        help="Root of the server's DICOMweb services; Orthanc's is http://HOST:8042/dicom-web.",
        show_default=False,
    ),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="'NAME: VALUE'",
        help="An HTTP header of each request; may be given repeatedly. Credentials are better set "
        "as LUNGPATCH_DICOMWEB_TOKEN, or LUNGPATCH_DICOMWEB_USER and LUNGPATCH_DICOMWEB_PASSWORD, "
        "in the environment, where other users of the machine do not see them.",
    ),
]
CaBundle = Annotated[
    Path | None,
    typer.Option(
        help="File of certificates to trust instead of the usual ones. Certificates are always "
        "verified."
    ),
]
Timeout = Annotated[
    float, typer.Option(help="Seconds to wait for a connection and for each part of an answer.")
]


def pull(
    url: Url,
    out: Annotated[Path, typer.Option(help="Folder for the images; made if it is missing.")],
    query: Annotated[
        list[str],
        typer.Option(
            "--query",
            metavar="KEY=VALUE",
            help="What images must match, such as Modality=DX, StudyDate=20260101-20260131 or "
            "PatientID=P7; may be given repeatedly, and all must match.",
        ),
    ],
    header: Header = None,
    ca_bundle: CaBundle = None,
    timeout: Timeout = 60.0,
) -> None:
    """Fetch images from a DICOMweb server.

    Each is written to STUDY/SERIES/INSTANCE.dcm below OUT. What is there already is not fetched
    again, so the same command goes on where an earlier one ended. Needs
    `pip install "lungpatch[dicom]"`.
    """
    from lungpatch._utils.progress import progress_bar
    from lungpatch.archive import pull_images

    server = _server(url, header, ca_bundle, timeout)
    with progress_bar() as progress:
        counts = pull_images(server, _pairs(query, "=", "a query"), out, progress=progress)
    _finish(counts, f"{counts.transferred} fetched", f"Images: {out}")


def push(
    found: Annotated[
        Path, typer.Argument(help="Folder that `detect --dicom` wrote.", show_default=False)
    ],
    url: Url,
    header: Header = None,
    ca_bundle: CaBundle = None,
    timeout: Timeout = 60.0,
) -> None:
    """Send the DICOM objects of a folder of results to a DICOMweb server.

    What the server has already is not sent again, so the same command goes on where an earlier one
    ended. Needs `pip install "lungpatch[dicom]"`.
    """
    from lungpatch._utils.progress import progress_bar
    from lungpatch.archive import push_results

    server = _server(url, header, ca_bundle, timeout)
    with progress_bar() as progress:
        counts = push_results(found, server, progress=progress)
    _finish(counts, f"{counts.transferred} sent", f"Server: {url}")


def _server(
    url: str, header: Sequence[str] | None, ca_bundle: Path | None, timeout: float
) -> DicomServer:
    from lungpatch.archive import DicomServer

    headers = _pairs(header or [], ":", "a header")
    return DicomServer(url=url, headers=headers, ca_bundle=ca_bundle, timeout=timeout)


def _pairs(given: Sequence[str], sign: str, what: str) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, found, value = text.partition(sign)
        if not found or not name.strip():
            # The text itself may hold a password.
            raise ConfigurationError(f"{what} is given as NAME{sign}VALUE; one has no {sign!r}")
        pairs[name.strip()] = value.strip()
    return pairs


def _finish(counts: TransferCounts, done: str, where: str) -> None:
    print_failures(counts.failures)
    typer.echo(f"{done}, {counts.present} there already, {len(counts.failures)} failed. {where}")
    if counts.failures:
        raise typer.Exit(SOME_FAILED)
