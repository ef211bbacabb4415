"""A connection to a DICOMweb server: retries, whole answers, and errors that say what to do."""

from __future__ import annotations

import base64
import os
import re
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import attrs

from lungpatch.errors import ConfigurationError, DicomServerError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import Dataset

TOKEN = "LUNGPATCH_DICOMWEB_TOKEN"
USER, PASSWORD = "LUNGPATCH_DICOMWEB_USER", "LUNGPATCH_DICOMWEB_PASSWORD"
"""Environment variables with credentials, so that none need stand on a command line."""

ATTEMPTS = 4
"""How often a request is made that is not answered, or with half of what was asked for."""

_FIRST_WAIT, _MAX_WAIT = 1.0, 60.0
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403, 407})
_NOT_FOUND = 404
_MAX_QUOTED = 200
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_UID_TAGS = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}
_UID = re.compile(r"[0-9.]{1,64}")
# Instances are sent with their length: servers may refuse them in chunks.
_UNCHUNKED = 1 << 40

Answer = TypeVar("Answer")


class RefusedError(DicomServerError):
    """The server refuses the credentials, as it will for every other request.

    Examples
    --------
    >>> issubclass(RefusedError, DicomServerError)
    True
    """


class NoAnswerError(DicomServerError):
    """The server cannot be reached, or does not answer in time.

    Examples
    --------
    >>> issubclass(NoAnswerError, DicomServerError)
    True
    """


class _IncompleteError(Exception):
    """An answer ends before it should."""


@attrs.frozen(kw_only=True)
class DicomServer:
    """How a DICOMweb server is reached.

    Parameters
    ----------
    url : str
        The root of its DICOMweb services; Orthanc's is ``http://HOST:8042/dicom-web``.
    headers : mapping of str to str
        HTTP headers of each request, such as ``{"Authorization": "Bearer ..."}``. Without an
        ``Authorization``, the environment is looked at: ``LUNGPATCH_DICOMWEB_TOKEN``, or
        ``LUNGPATCH_DICOMWEB_USER`` and ``LUNGPATCH_DICOMWEB_PASSWORD``.
    ca_bundle : path, optional
        Certificates that are trusted instead of the usual ones. TLS certificates are always
        verified.
    timeout : float
        Seconds to wait for a connection, and for each part of an answer.

    Raises
    ------
    ConfigurationError
        If the URL is none or holds a password, or the timeout is not above 0.
    MissingInputError
        If there is no such CA bundle.

    Examples
    --------
    >>> DicomServer(url="https://pacs.example/dicom-web")
    DicomServer(url='https://pacs.example/dicom-web', ca_bundle=None, timeout=60.0)
    """

    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    ca_bundle: str | os.PathLike[str] | None = None
    timeout: float = 60.0

    def __attrs_post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.username or parts.password:
            raise ConfigurationError(
                f"{parts.scheme}://...@{parts.hostname}: a URL with a password stays in logs; set "
                f"{USER} and {PASSWORD} instead"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"{self.url}: is no URL of a DICOMweb server; give one such as "
                "https://HOST/dicom-web"
            )
        if not self.timeout > 0:
            raise ConfigurationError(f"timeout must be above 0 seconds, got {self.timeout}")
        if self.ca_bundle is not None and not Path(self.ca_bundle).exists():
            raise MissingInputError(f"{self.ca_bundle}: no such file; check the CA bundle's path")


class Instance(NamedTuple):
    """The UIDs of a DICOM object.

    Examples
    --------
    >>> Instance(study="1.2", series="1.2.3", uid="1.2.3.4").path
    'studies/1.2/series/1.2.3/instances/1.2.3.4'
    """

    study: str
    series: str
    uid: str

    @property
    def path(self) -> str:
        """The path of its resource below the root of a server."""
        return f"studies/{self.study}/series/{self.series}/instances/{self.uid}"


class Connection:
    """Requests to a server, repeated where that may help.

    Parameters
    ----------
    server : DicomServer

    Examples
    --------
    >>> connection = Connection(server)                                # doctest: +SKIP
    >>> next(connection.search("studies", {"PatientID": "P7"}))        # doctest: +SKIP
    '1.2.3'
    """

    def __init__(self, server: DicomServer) -> None:
        import requests
        from dicomweb_client import DICOMwebClient

        self._server = server
        session = requests.Session()
        if server.ca_bundle is not None:
            session.verify = os.fspath(server.ca_bundle)
            if any(os.environ.get(name) for name in _BUNDLES):
                session.trust_env = False  # else requests prefers the bundle that it names
        headers = _with_credentials(server.headers)
        session.headers.update(headers)
        if any(name.lower() == "authorization" for name in headers):
            session.auth = _as_it_is  # else requests prefers what ~/.netrc says
        self._client = DICOMwebClient(
            server.url.rstrip("/"),
            session=session,
            callback=_check_whole,
            chunk_size=_UNCHUNKED,
            permissive_uid=True,  # images are fetched whatever their UIDs look like
            timeout=server.timeout,
        )
        self._client.set_http_retry_params(retry=False)

    def search(self, level: str, filters: Mapping[str, str], *within: str) -> Iterator[str]:
        """Yield the UIDs of what matches: of studies, or of series or instances within UIDs."""
        searches: dict[str, Callable[..., list[dict[str, Any]]]] = {
            "studies": self._client.search_for_studies,
            "series": self._client.search_for_series,
            "instances": self._client.search_for_instances,
        }
        seen: list[str] = []

        def next_page() -> list[str]:
            # Servers limit how much they answer at a time.
            found = searches[level](*within, search_filters=dict(filters), offset=len(seen) or None)
            return [_uid(item, level) for item in found]

        while True:
            page = self._request(f"{self._server.url}/{level}", next_page)
            new = [uid for uid in dict.fromkeys(page) if uid not in seen]
            if not new:
                return
            seen += new
            yield from new

    def retrieve(self, instance: Instance) -> Dataset:
        """Fetch a DICOM object, as the server has it."""

        def fetch() -> Dataset:
            dataset = self._client.retrieve_instance(
                *instance, media_types=(("application/dicom", "*"),)
            )
            _check_dataset(dataset, instance.uid)
            return dataset

        return self._request(f"{self._server.url}/{instance.path}", fetch)

    def store(self, dataset: Dataset) -> None:
        """Send a DICOM object, and check that the server has taken it."""
        name = f"{self._server.url}: {dataset.filename or dataset.SOPInstanceUID}"
        answer = self._request(name, lambda: self._client.store_instances([dataset]))
        for failed in answer.get("FailedSOPSequence", ()):
            reason = failed.get("FailureReason")
            told = f" (failure reason 0x{int(reason):04X})" if reason is not None else ""
            raise DicomServerError(
                f"{name}: the server did not take it{told}; see the server's log"
            )

    def _request(self, name: str, ask: Callable[[], Answer]) -> Answer:
        """Make a request, several times if need be; errors begin with ``name``."""
        for attempt in range(ATTEMPTS):
            try:
                return ask()
            except Exception as error:
                wait = _FIRST_WAIT * 2**attempt
                problem, asked_wait = self._problem(name, error)
                if problem is None:
                    raise
                if attempt + 1 == ATTEMPTS or asked_wait is None:
                    raise problem from error
                time.sleep(min(max(wait, asked_wait), _MAX_WAIT))
        raise AssertionError  # the last attempt returns or raises

    def _problem(self, name: str, error: Exception) -> tuple[DicomServerError | None, float | None]:
        """Return the error for users, and the least wait before another attempt, if any helps.

        None for what has nothing to do with servers.
        """
        from pydicom.errors import InvalidDicomError
        from requests import exceptions

        reason = _short(error)
        if isinstance(error, exceptions.HTTPError) and error.response is not None:
            return self._refusal(name, error.response)
        if isinstance(error, exceptions.SSLError):
            return RefusedError(
                f"{name}: the server's certificate is not trusted ({reason}); give the "
                "certificates of its authority (--ca-bundle)"
            ), None
        if isinstance(error, exceptions.Timeout) or "timed out" in reason:
            return NoAnswerError(
                f"{name}: no answer within {self._server.timeout:g} s, {ATTEMPTS} times; try "
                "later, or with a longer timeout"
            ), 0.0
        if isinstance(error, exceptions.ConnectionError):
            return NoAnswerError(
                f"{name}: cannot be reached ({reason}); check the URL, and that the server runs"
            ), 0.0
        unreadable = (
            *(_IncompleteError, InvalidDicomError, exceptions.RequestException, struct.error),
            *(ValueError, EOFError, LookupError, AttributeError, NotImplementedError),
        )
        if isinstance(error, unreadable):
            return DicomServerError(
                f"{name}: the answer was incomplete or not DICOM, {ATTEMPTS} times ({reason}); "
                "check that the URL is the root of its DICOMweb services, and see the server's log"
            ), 0.0
        return None, None

    def _refusal(self, name: str, response: Any) -> tuple[DicomServerError, float | None]:
        status = response.status_code
        told = f"{status} {response.reason or ''}".strip()
        if status in _REFUSED:
            return RefusedError(
                f"{name}: the server refuses ({told}); set {TOKEN}, or {USER} and {PASSWORD}, or "
                "give a header (--header)"
            ), None
        if status in _TRANSIENT:
            after = response.headers.get("Retry-After", "")
            wait = float(after) if after.isdecimal() else 0.0
            return NoAnswerError(f"{name}: the server fails ({told}); try again later"), wait
        body = _short(response.text or "")
        hint = "; is the URL the root of its DICOMweb services?" if status == _NOT_FOUND else ""
        return DicomServerError(
            f"{name}: the server refuses ({told}){f': {body}' if body else ''}{hint}"
        ), None


def _with_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    """Add the credentials of the environment where the headers hold none."""
    given = dict(headers)
    if any(name.lower() == "authorization" for name in given):
        return given
    token, user, password = (os.environ.get(name) for name in (TOKEN, USER, PASSWORD))
    if token:
        return given | {"Authorization": f"Bearer {token}"}
    if user:
        basic = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
        return given | {"Authorization": f"Basic {basic}"}
    return given


def _as_it_is(request: Any) -> Any:
    """Authenticate a request by the headers that it has."""
    return request


def _check_whole(response: Any, *_: object, **__: object) -> None:
    """Check that an answer of several parts has its end."""
    content_type = response.headers.get("Content-Type", "")
    if not response.ok or not content_type.lower().startswith("multipart/"):
        return
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary":
            end = b"--" + value.strip('"').encode() + b"--"
            if end not in response.content[-len(end) - 16 :]:
                raise _IncompleteError(f"ends after {len(response.content)} bytes")


def _check_dataset(dataset: Dataset, uid: str) -> None:
    """Check that a dataset is the one that was asked for, and has all of its bytes."""
    if str(dataset.get("SOPInstanceUID")) != uid:
        raise _IncompleteError(f"it is {dataset.get('SOPInstanceUID')}")
    for tag in dataset.keys():  # noqa: SIM118 - a dataset yields elements, converted
        element: Any = dataset.get_item(tag)
        length, value = getattr(element, "length", None), element.value
        if isinstance(value, bytes) and length not in (None, 0xFFFF_FFFF, len(value)):
            raise _IncompleteError(f"{len(value)} of {length} bytes of {tag}")


def _uid(item: Mapping[str, Any], level: str) -> str:
    """Return the UID of an item of an answer, which is not to be trusted."""
    uid = str(item[_UID_TAGS[level]]["Value"][0])
    if not _UID.fullmatch(uid) or not uid.strip("."):
        raise _IncompleteError(f"{uid[:80]!r} is no UID")
    return uid


def _short(text: object) -> str:
    words = " ".join(str(text).split())
    return words if len(words) <= _MAX_QUOTED else f"{words[:_MAX_QUOTED]}..."
