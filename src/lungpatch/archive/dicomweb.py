"""Images from a DICOMweb server, and results to one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs

from lungpatch._utils.destinations import check_folder
from lungpatch._utils.extras import require_extra
from lungpatch._utils.files import atomic_write
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch._utils.suggestions import did_you_mean
from lungpatch.archive.dicomweb_connection import (
    Connection,
    DicomServer,
    Instance,
    NoAnswerError,
    RefusedError,
)
from lungpatch.archive.records import DICOM_KEY, read_detections
from lungpatch.errors import (
    ConfigurationError,
    DicomServerError,
    InvalidImageError,
    LungpatchError,
    MissingInputError,
)
from lungpatch.pipeline.results import Failure

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydicom.dataset import Dataset

QUERY_KEYS = {
    "studies": (
        "AccessionNumber",
        "IssuerOfPatientID",
        "ModalitiesInStudy",
        "PatientBirthDate",
        "PatientID",
        "PatientName",
        "PatientSex",
        "ReferringPhysicianName",
        "StudyDate",
        "StudyDescription",
        "StudyID",
        "StudyInstanceUID",
        "StudyTime",
    ),
    "series": (
        "BodyPartExamined",
        "Modality",
        "ProtocolName",
        "SeriesDate",
        "SeriesDescription",
        "SeriesInstanceUID",
        "SeriesNumber",
        "StationName",
    ),
    "instances": ("ContentDate", "InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
}
"""What a query can name, by the level at which servers are asked for it."""

_MAX_SILENT = 3
"""After so many without an answer in a row, the others are not tried."""

Item = TypeVar("Item")


@attrs.define(kw_only=True)
class TransferCounts:
    """What came of images or results that were to be transferred.

    Parameters
    ----------
    transferred : int
        How many were fetched or sent.
    present : int
        How many were there already.
    failures : list of Failure
        What could not be fetched or sent.

    Examples
    --------
    >>> TransferCounts(transferred=3)
    TransferCounts(transferred=3, present=0, failures=[])
    """

    transferred: int = 0
    present: int = 0
    failures: list[Failure] = attrs.field(factory=list)


def pull_images(
    server: DicomServer,
    query: Mapping[str, str],
    out: str | os.PathLike[str],
    *,
    progress: ProgressCallback | None = None,
) -> TransferCounts:
    """Fetch the images that a query matches from a DICOMweb server.

    Each is written to ``STUDY/SERIES/INSTANCE.dcm`` below ``out``, named by its UIDs, once it is
    there whole. What is there already is not fetched again: the same call goes on where an earlier
    one ended. An image that cannot be fetched does not affect the others.

    Parameters
    ----------
    server : DicomServer
    query : mapping of str to str
        DICOM keywords and what they must match, such as
        ``{"StudyDate": "20260101-20260131", "Modality": "DX"}``; at least one. Servers allow ``*``
        and ``?`` in names.
    out : path
        Folder; made if it is missing.
    progress : callable, optional
        Called after each image; `lungpatch.progress_bar` gives one.

    Returns
    -------
    TransferCounts

    Raises
    ------
    ConfigurationError
        If the query is empty or names an unknown keyword.
    DestinationError
        If nothing can be written to ``out``; checked before the server is asked.
    DicomServerError
        If the server does not answer the query, or refuses the credentials; the message says why,
        and what to do.
    MissingExtraError
        If dicomweb-client is not installed (``pip install "lungpatch[dicom]"``).

    See Also
    --------
    push_results : Send results to a server.

    Examples
    --------
    >>> server = DicomServer(url="http://localhost:8042/dicom-web")      # doctest: +SKIP
    >>> pull_images(server, {"PatientID": "P7"}, "images")               # doctest: +SKIP
    TransferCounts(transferred=2, present=0, failures=[])
    """
    filters = _split_query(query)
    require_extra("dicom", ["dicomweb_client"], needed_by="pulling from a DICOMweb server")
    out = Path(out)
    check_folder(out)
    connection = Connection(server)
    counts = TransferCounts()
    instances = list(_find(connection, server, filters, counts.failures))
    out.mkdir(parents=True, exist_ok=True)

    def fetch(instance: Instance) -> bool:
        target = out.joinpath(instance.study, instance.series, f"{instance.uid}.dcm")
        if target.exists():
            return False
        dataset = connection.retrieve(instance)
        with atomic_write(target) as temporary:
            dataset.save_as(temporary)
        return True

    named = [(f"{server.url}/{instance.path}", instance) for instance in instances]
    _transfer(named, fetch, counts, stage="pull", notify=progress or silent)
    return counts


def push_results(
    found: str | os.PathLike[str],
    server: DicomServer,
    *,
    progress: ProgressCallback | None = None,
) -> TransferCounts:
    """Send the DICOM objects of a folder of results to a DICOMweb server.

    What the server has already is not sent again: the same call goes on where an earlier one
    ended. An object that cannot be sent does not affect the others.

    Parameters
    ----------
    found : path
        A folder that ``lungpatch.detect_folder(..., dicom=...)`` or ``lungpatch detect --dicom``
        wrote.
    server : DicomServer
    progress : callable, optional
        Called after each object; `lungpatch.progress_bar` gives one.

    Returns
    -------
    TransferCounts

    Raises
    ------
    MissingInputError
        If the folder has no records, or they name no DICOM object.
    DicomServerError
        If the server refuses the credentials.
    MissingExtraError
        If dicomweb-client is not installed (``pip install "lungpatch[dicom]"``).

    See Also
    --------
    pull_images : Fetch images from a server.

    Examples
    --------
    >>> server = DicomServer(url="http://localhost:8042/dicom-web")      # doctest: +SKIP
    >>> push_results("found", server)                                    # doctest: +SKIP
    TransferCounts(transferred=4, present=0, failures=[])
    """
    files = _dicom_files(Path(found))
    require_extra("dicom", ["dicomweb_client"], needed_by="pushing to a DICOMweb server")
    connection = Connection(server)
    counts = TransferCounts()
    there: dict[str, set[str]] = {}

    def send(file: Path) -> bool:
        dataset = _read(file)
        study = str(dataset.StudyInstanceUID)
        if study not in there:
            there[study] = _instances_of(connection, study)
        if str(dataset.SOPInstanceUID) in there[study]:
            return False
        connection.store(dataset)
        return True

    named = [(str(file), file) for file in files]
    _transfer(named, send, counts, stage="push", notify=progress or silent)
    return counts


def _transfer(
    named: Sequence[tuple[str, Item]],
    move: Callable[[Item], bool],
    counts: TransferCounts,
    *,
    stage: str,
    notify: ProgressCallback,
) -> None:
    """Move items one by one; ``move`` returns whether it had to."""
    n_silent = 0
    for number, (name, item) in enumerate(named, start=1):
        try:
            if n_silent >= _MAX_SILENT:
                raise NoAnswerError(
                    f"{name}: not tried, since the server no longer answers; run the same again "
                    "later, what was done is not done again"
                )
            moved = move(item)
        except RefusedError:
            raise  # as it would refuse all others
        except LungpatchError as error:
            n_silent = n_silent + 1 if isinstance(error, NoAnswerError) else 0
            counts.failures.append(Failure(source=name, error=error))
        else:
            n_silent = 0
            counts.transferred += moved
            counts.present += not moved
        notify(stage, number, len(named), {})


def _split_query(query: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Sort what a query names by level."""
    known = [keyword for keywords in QUERY_KEYS.values() for keyword in keywords]
    for keyword in query:
        if keyword not in known:
            raise ConfigurationError(
                f"a query cannot name {keyword!r}{did_you_mean(keyword, known)} It can name: "
                f"{', '.join(sorted(known))}"
            )
    if not query:
        raise ConfigurationError(
            "the query is empty, which would fetch all that the server has; name at least one "
            "keyword, such as PatientID, StudyDate or Modality"
        )
    return {
        level: {keyword: query[keyword] for keyword in keywords if keyword in query}
        for level, keywords in QUERY_KEYS.items()
    }


def _find(
    connection: Connection,
    server: DicomServer,
    filters: Mapping[str, Mapping[str, str]],
    failures: list[Failure],
) -> Iterator[Instance]:
    """Yield what matches, level by level; a study that cannot be listed is a failure."""
    for study in list(connection.search("studies", filters["studies"])):
        try:
            for series in list(connection.search("series", filters["series"], study)):
                for uid in connection.search("instances", filters["instances"], study, series):
                    yield Instance(study=study, series=series, uid=uid)
        except RefusedError:
            raise
        except LungpatchError as error:
            failures.append(Failure(source=f"{server.url}/studies/{study}", error=error))


def _instances_of(connection: Connection, study: str) -> set[str]:
    """Return what the server has of a study; nothing where it cannot say."""
    try:
        return set(connection.search("instances", {}, study))
    except (RefusedError, NoAnswerError):
        raise
    except DicomServerError:  # such servers only take objects, and then take them twice
        return set()


def _dicom_files(found: Path) -> list[Path]:
    """List the DICOM objects that the records of a folder name."""
    names = [
        name for record in read_detections(found) for name in record.get(DICOM_KEY, {}).values()
    ]
    if not names:
        raise MissingInputError(
            f"{found}: its records name no DICOM object; detect with --dicom (in Python: "
            'dicom=["sc", "sr"])'
        )
    return [found / name for name in names]


def _read(file: Path) -> Dataset:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(file)
    except FileNotFoundError:
        raise MissingInputError(f"{file}: no such file; detect again") from None
    except (OSError, EOFError, InvalidDicomError) as error:
        raise InvalidImageError(
            f"{file}: not a readable DICOM object ({error}); detect again"
        ) from error
    if not dataset.get("StudyInstanceUID") or not dataset.get("SOPInstanceUID"):
        raise InvalidImageError(f"{file}: not a DICOM object of ours; detect again")
    return dataset
