"""Images from servers and results to servers: a real Orthanc, and servers that misbehave."""

import json
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from made_dicom_results import IDENTITY, PIPELINE, detection_in, save_radiograph
from orthanc_server import PASSWORD, USER, orthanc
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from lungpatch.archive import dicomweb_connection
from lungpatch.archive.dicomweb import TransferCounts, pull_images, push_results
from lungpatch.archive.dicomweb_connection import DicomServer
from lungpatch.errors import (
    ConfigurationError,
    DestinationError,
    DicomServerError,
    MissingExtraError,
    MissingInputError,
)
from lungpatch.io import find_images
from lungpatch.reports.dicom import KINDS, write_dicom_objects


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    """The waits between attempts, which are not waited."""
    waits = []
    monkeypatch.setattr(dicomweb_connection.time, "sleep", waits.append)
    return waits


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    for name in ("TOKEN", "USER", "PASSWORD"):
        monkeypatch.delenv(f"LUNGPATCH_DICOMWEB_{name}", raising=False)


def uid(*what):
    return generate_uid(entropy_srcs=["test", *map(str, what)])


def save_results(folder: Path, *, images=2, kinds=KINDS) -> Path:
    """A folder of results with DICOM objects, as detect_folder writes it."""
    found = folder / "found"
    found.mkdir(parents=True)
    with (found / "detections.jsonl").open("w") as records:
        for number in range(images):
            path = save_radiograph(
                folder / f"IM{number}",
                SOPInstanceUID=uid("image", number),
                StudyInstanceUID=uid("study", number),
            )
            files = write_dicom_objects(
                detection_in(path), path, found, pipeline=PIPELINE, kinds=kinds
            )
            names = {kind: file.name for kind, file in files.items()}
            record = {"image": str(path), "status": "ok", "name": path.stem, "dicom": names}
            records.write(json.dumps(record) + "\n")
        records.write(json.dumps({"image": "b.png", "status": "error", "error": "bad"}) + "\n")
    return found


def objects_in(folder: Path) -> dict[str, pydicom.Dataset]:
    datasets = [pydicom.dcmread(file) for file in folder.rglob("*.dcm")]
    return {str(dataset.SOPInstanceUID): dataset for dataset in datasets}


# -------------------------------------------------------------------------------- a real server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with orthanc(tmp_path_factory.mktemp("orthanc")) as url:
        yield DicomServer(url=url)


def test_results_there_and_back_are_equal(tmp_path, server):
    found = save_results(tmp_path)
    assert push_results(found, server) == TransferCounts(transferred=2 * len(KINDS))
    for number in range(2):
        pull_images(server, {"StudyInstanceUID": uid("study", number)}, tmp_path / "back")
    sent, back = objects_in(found), objects_in(tmp_path / "back")
    assert len(sent) == 2 * len(KINDS)
    assert back == sent
    for name, dataset in back.items():
        assert dataset.file_meta.TransferSyntaxUID == sent[name].file_meta.TransferSyntaxUID
        file = Path(dataset.filename)
        assert file.stem == name
        assert file.parent.name == dataset.SeriesInstanceUID
        assert file.parent.parent.name == dataset.StudyInstanceUID
    with pytest.raises(MissingInputError):
        find_images(tmp_path / "back")  # results are no radiographs, wherever they come from
    # Again: nothing is sent or fetched twice.
    counts = push_results(found, server)
    assert (counts.transferred, counts.present, counts.failures) == (0, 2 * len(KINDS), [])
    counts = pull_images(server, {"StudyInstanceUID": uid("study", 0)}, tmp_path / "back")
    assert (counts.transferred, counts.present) == (0, len(KINDS))
    # What is missing is fetched, and only that.
    missing = next((tmp_path / "back" / uid("study", 0)).rglob("*.dcm"))
    missing.unlink()
    counts = pull_images(server, {"StudyInstanceUID": uid("study", 0)}, tmp_path / "back")
    assert (counts.transferred, counts.present) == (1, len(KINDS) - 1)
    assert missing.exists()


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG3_UNCR.dcm", "RG1_J2KR.dcm"])
def test_images_there_and_back_are_equal(tmp_path, server, name):
    """Compressed ones too: the server's bytes are taken as they are."""
    path = get_testdata_file(name)
    if path is None:
        pytest.skip("pydicom-data is not installed")
    check_image(Path(path), tmp_path, server)


def check_image(path, tmp_path, server):
    image = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in image.file_meta:
        image.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    image.preamble = bytes(128)  # servers take nothing without one
    for tag in [tag for tag in image.keys() if tag.elem == 0]:  # noqa: SIM118 - yields elements
        del image[tag]  # lengths of groups are retired, and written by no library
    # Versions of one image share their UIDs.
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid(path.name)
    image.SeriesInstanceUID = uid(path.name, "series")
    DICOMwebClient(server.url, permissive_uid=True).store_instances([image])
    counts = pull_images(server, {"SeriesInstanceUID": image.SeriesInstanceUID}, tmp_path)
    assert [str(failure.error) for failure in counts.failures] == []
    assert counts.transferred == 1
    (back,) = objects_in(tmp_path).values()
    assert back == image
    assert back.file_meta.TransferSyntaxUID == image.file_meta.TransferSyntaxUID


SHARED_IMAGES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dicom"


@pytest.mark.parametrize("name", ["nih_chest_jpeg.dcm", "fuji_cr_chest_no_preamble"])
def test_chests_there_and_back_are_equal(tmp_path, server, name):
    if not (SHARED_IMAGES / name).exists():
        pytest.skip(f"{SHARED_IMAGES} is not there")
    check_image(SHARED_IMAGES / name, tmp_path, server)


def test_queries_match_at_every_level(tmp_path, server):
    found = save_results(tmp_path, images=1, kinds=("sr", "pr"))
    push_results(found, server)
    study = {"StudyInstanceUID": uid("study", 0)}
    for query, modalities in (
        ({"Modality": "SR"}, ["SR"]),
        ({"PatientID": IDENTITY["PatientID"], "Modality": "PR"}, ["PR"]),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"}, ["SR"]),
        ({"PatientID": "nobody"}, []),
    ):
        out = tmp_path / "-".join(query.values())
        pull_images(server, study | query, out)
        found_modalities = {dataset.Modality for dataset in objects_in(out).values()}
        assert sorted(found_modalities) == modalities


def test_more_studies_than_a_server_lists_at_a_time(tmp_path, no_waits):
    """The pages of a server that lists two studies at a time are put together."""
    studies = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{n}"]}} for n in range(5)]

    class Pages(Handler):
        def do_GET(self):
            start = int(self.query.get("offset", ["0"])[0])
            is_root = self.path.partition("?")[0] == "/studies"
            self.answer_json(studies[start : start + 2] if is_root else [])

    with serving(Pages) as url:
        counts = pull_images(DicomServer(url=url), {"Modality": "DX"}, tmp_path / "out")
        assert counts.failures == []
        assert {path for path in Pages.asked if path.count("/") == 3} == {
            f"/studies/1.2.{n}/series" for n in range(5)
        }


def test_credentials_from_environment_and_header(tmp_path, monkeypatch):
    found = save_results(tmp_path, images=1, kinds=("sr",))
    with orthanc(tmp_path / "orthanc", with_password=True) as url:
        server = DicomServer(url=url)
        with pytest.raises(DicomServerError, match=r"refuses \(401.*LUNGPATCH_DICOMWEB_TOKEN"):
            push_results(found, server)
        with pytest.raises(DicomServerError, match="refuses"):
            pull_images(server, {"PatientID": "P7"}, tmp_path / "out")
        monkeypatch.setenv("LUNGPATCH_DICOMWEB_USER", USER)
        monkeypatch.setenv("LUNGPATCH_DICOMWEB_PASSWORD", "wrong")
        with pytest.raises(DicomServerError, match="refuses"):
            push_results(found, server)
        monkeypatch.setenv("LUNGPATCH_DICOMWEB_PASSWORD", PASSWORD)
        assert push_results(found, server).transferred == 1
        monkeypatch.delenv("LUNGPATCH_DICOMWEB_USER")
        basic = requests.Request("GET", url, auth=(USER, PASSWORD)).prepare().headers
        server = DicomServer(url=url, headers={"authorization": basic["Authorization"]})
        assert pull_images(server, {"PatientID": "P7"}, tmp_path / "out").transferred == 1


# ------------------------------------------------------------------------ servers that misbehave


class Handler(BaseHTTPRequestHandler):
    """Answers are set by subclasses; what was asked is noted."""

    protocol_version = "HTTP/1.1"
    asked: list[str]
    headers_seen: list[dict[str, str]]

    def log_message(self, *args):
        pass

    def parse_request(self):
        parsed = super().parse_request()
        if parsed:
            from urllib.parse import parse_qs

            path, _, query = self.path.partition("?")
            self.query = parse_qs(query)
            type(self).asked.append(path)
            type(self).headers_seen.append(dict(self.headers))
        return parsed

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_STORE()

    def do_STORE(self):
        self.answer_json({})

    def answer(self, body, content_type="text/plain", status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.close_connection = True

    def answer_json(self, content, **options):
        self.answer(json.dumps(content).encode(), "application/dicom+json", **options)


class serving:  # noqa: N801 - used like a function
    """Run a handler on the loopback; the root of its services."""

    def __init__(self, handler, context=None):
        handler.asked, handler.headers_seen = [], []
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.httpd.daemon_threads = True
        scheme = "http"
        if context is not None:
            self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.httpd.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return self.url

    def __exit__(self, *_):
        self.httpd.shutdown()
        self.httpd.server_close()


def multipart(file: Path) -> bytes:
    return b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n--b--"


class OneStudy(Handler):
    """A server of one study with three images of one series; ``send`` sends one."""

    images: dict[str, Path]

    def do_GET(self):
        path = self.path.partition("?")[0]
        if self.query.get("offset"):
            self.answer_json([])
        elif path.endswith("/instances"):
            self.answer_json([{"00080018": {"vr": "UI", "Value": [uid]}} for uid in self.images])
        elif path.endswith("/series"):
            self.answer_json([{"0020000E": {"vr": "UI", "Value": ["1.2.3"]}}])
        elif path.endswith("/studies"):
            self.answer_json([{"0020000D": {"vr": "UI", "Value": ["1.2"]}}])
        else:
            self.send_image(self.images[path.rpartition("/")[2]])

    def send_image(self, file):
        self.answer(multipart(file), 'multipart/related; type="application/dicom"; boundary=b')


@pytest.fixture
def images(tmp_path):
    """Three images, by their UIDs; the second is the one that tests damage."""
    files = [
        save_radiograph(tmp_path / f"{n}.dcm", SOPInstanceUID=uid(n), InstanceNumber=n + 1)
        for n in range(3)
    ]
    return {uid(n): file for n, file in enumerate(files)}


def pull(handler, images, out, **options):
    handler.images = images
    with serving(handler) as url:
        return pull_images(DicomServer(url=url, **options), {"PatientID": "P7"}, out)


def check_only_the_second_fails(counts, images, out, message):
    assert counts.transferred == 2
    (failure,) = counts.failures
    assert isinstance(failure.error, DicomServerError)
    assert message in str(failure.error)
    assert failure.source in str(failure.error)
    assert uid(1) in failure.source
    assert set(objects_in(out)) == {uid(0), uid(2)}
    assert not [file for file in out.rglob("*") if file.name.startswith(".")]
    # The next call fetches what is missing.
    counts = pull(type("Whole", (OneStudy,), {}), images, out)
    assert (counts.transferred, counts.present, counts.failures) == (1, 2, [])
    assert set(objects_in(out)) == set(images)


def damaged(send):
    """A server that sends the second image in another way."""

    class Damaged(OneStudy):
        def send_image(self, file):
            if file.stem == "1":
                send(self, file)
            else:
                super().send_image(file)

    return Damaged


def test_an_answer_that_is_cut_short(tmp_path, images):
    def send(handler, file):
        body = multipart(file)
        handler.answer(body[: len(body) // 2], "multipart/related; boundary=b", length=len(body))

    handler = damaged(send)
    counts = pull(handler, images, tmp_path / "out")
    assert sum(uid(1) in path for path in handler.asked) == dicomweb_connection.ATTEMPTS
    check_only_the_second_fails(counts, images, tmp_path / "out", "incomplete")


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_an_answer_without_its_end(tmp_path, images, kept):
    """Its length is right, as where a proxy passes on half of an answer."""

    def send(handler, file):
        body = multipart(file)
        handler.answer(body[: int(len(body) * kept)], "multipart/related; boundary=b")

    counts = pull(damaged(send), images, tmp_path / "out")
    check_only_the_second_fails(counts, images, tmp_path / "out", "incomplete")


def test_an_answer_that_ends_between_two_elements(tmp_path, images):
    """What was read of it looks whole: the pixels are what is missing."""

    def send(handler, file):
        body = multipart(file)
        handler.answer(body[: body.index(b"\xe0\x7f\x10\x00")], "multipart/related; boundary=b")

    counts = pull(damaged(send), images, tmp_path / "out")
    check_only_the_second_fails(counts, images, tmp_path / "out", "incomplete")


def test_an_image_that_is_cut_short_in_a_whole_answer(tmp_path, images):
    def send(handler, file):
        short = file.with_suffix(".short")
        short.write_bytes(file.read_bytes()[:-1000])
        handler.answer(multipart(short), "multipart/related; boundary=b")

    counts = pull(damaged(send), images, tmp_path / "out")
    check_only_the_second_fails(counts, images, tmp_path / "out", "incomplete")


def test_another_image_than_was_asked_for(tmp_path, images):
    def send(handler, file):
        handler.answer(multipart(images[uid(0)]), "multipart/related; boundary=b")

    counts = pull(damaged(send), images, tmp_path / "out")
    check_only_the_second_fails(counts, images, tmp_path / "out", f"it is {uid(0)}")


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b"\0" * 5000])
def test_an_answer_that_is_no_dicom(tmp_path, images, body):
    def send(handler, file):
        part = b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n--b--"
        handler.answer(part, "multipart/related; boundary=b")

    counts = pull(damaged(send), images, tmp_path / "out")
    check_only_the_second_fails(counts, images, tmp_path / "out", "not DICOM")


def test_an_image_that_is_refused(tmp_path, images):
    def send(handler, file):
        handler.answer(b"in the archive", status=410)

    handler = damaged(send)
    counts = pull(handler, images, tmp_path / "out")
    assert sum(uid(1) in path for path in handler.asked) == 1  # asking again would not help
    check_only_the_second_fails(counts, images, tmp_path / "out", "410 Gone): in the archive")


def test_no_answer_in_time(tmp_path, images):
    released = threading.Event()

    def send(handler, file):
        released.wait(10)
        handler.close_connection = True

    handler = damaged(send)
    try:
        counts = pull(handler, images, tmp_path / "out", timeout=0.3)
    finally:
        released.set()
    check_only_the_second_fails(counts, images, tmp_path / "out", "no answer within 0.3 s")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_fails_for_a_while_is_tried_again(tmp_path, images, no_waits, status):
    tries = []

    def send(handler, file):
        tries.append(file)
        if len(tries) < dicomweb_connection.ATTEMPTS:
            handler.answer(b"busy", status=status, Retry_After="7" if len(tries) == 1 else "no")
        else:
            OneStudy.send_image(handler, file)

    counts = pull(damaged(send), images, tmp_path / "out")
    assert (counts.transferred, counts.failures) == (3, [])
    assert no_waits == [7.0, 2.0, 4.0]


def test_after_some_silence_the_others_are_not_tried(tmp_path, no_waits):
    class Dead(OneStudy):
        images = dict.fromkeys((uid(n) for n in range(10)), Path())

        def send_image(self, file):
            self.answer(b"down", status=503)

    counts = pull(Dead, Dead.images, tmp_path / "out")
    assert len(counts.failures) == 10
    tried = [path for path in Dead.asked if path.count("/") == 6]
    assert len(tried) == 3 * dicomweb_connection.ATTEMPTS
    assert "run the same again later" in str(counts.failures[-1].error)


@pytest.mark.parametrize("value", ["../../etc/passwd", "..", "", "1.2/3"])
def test_uids_that_are_none_name_no_file(tmp_path, value):
    counts = pull(type("Evil", (OneStudy,), {}), {value: Path()}, tmp_path / "out")
    (failure,) = counts.failures
    assert f"{value!r} is no UID" in str(failure.error)
    assert not list((tmp_path / "out").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "LUNGPATCH_DICOMWEB_TOKEN"),
        (403, "LUNGPATCH_DICOMWEB_TOKEN"),
        (404, "the root of its DICOMweb services?"),
        (400, "refuses (400 Bad Request): no such key"),
        (503, "fails (503"),
    ],
)
def test_a_query_that_fails_says_why(tmp_path, status, message):
    class Refusing(Handler):
        def do_GET(self):
            self.answer(b"no such key", status=status)

    with serving(Refusing) as url, pytest.raises(DicomServerError) as error:
        pull_images(DicomServer(url=url), {"PatientID": "P7"}, tmp_path / "out")
    assert str(error.value).startswith(f"{url}/studies: ")
    assert message in str(error.value)


@pytest.mark.parametrize("body", [b"<html>", b'[{"0020000D": {"vr": "UI", "Va'])
def test_a_query_that_is_not_answered_in_json(tmp_path, body):
    class Html(Handler):
        def do_GET(self):
            self.answer(body, "text/html")

    with serving(Html) as url, pytest.raises(DicomServerError, match="incomplete or not DICOM"):
        pull_images(DicomServer(url=url), {"PatientID": "P7"}, tmp_path / "out")


def test_nobody_is_there(tmp_path):
    with serving(Handler) as url:
        pass
    with pytest.raises(DicomServerError, match="cannot be reached") as error:
        pull_images(DicomServer(url=url), {"PatientID": "P7"}, tmp_path / "out")
    assert "check the URL" in str(error.value)
    found = save_results(tmp_path, images=2, kinds=("sr", "pr"))
    counts = push_results(found, DicomServer(url=url))
    assert (counts.transferred, len(counts.failures)) == (0, 4)
    assert "cannot be reached" in str(counts.failures[0].error)


def test_headers_and_tokens_are_sent(tmp_path, monkeypatch):
    class Noting(Handler):
        def do_GET(self):
            self.answer_json([])

    def sent(**headers):
        with serving(Noting) as url:
            server = DicomServer(url=url, headers=headers)
            assert not any(value in repr(server) for value in headers.values())
            pull_images(server, {"PatientID": "P7"}, tmp_path / "out")
        return Noting.headers_seen[0]

    assert "Authorization" not in sent()
    assert sent(X_Key="abc")["X_Key"] == "abc"
    monkeypatch.setenv("LUNGPATCH_DICOMWEB_TOKEN", "t0ken")
    assert sent()["Authorization"] == "Bearer t0ken"
    assert sent(Authorization="Basic abc")["Authorization"] == "Basic abc"
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert sent()["Authorization"] == "Bearer t0ken"


def test_certificates_are_verified(tmp_path, monkeypatch):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Empty(Handler):
        def do_GET(self):
            self.answer_json([])

    with serving(Empty, context) as url:
        with pytest.raises(DicomServerError, match=r"certificate is not trusted.*--ca-bundle"):
            pull_images(DicomServer(url=url), {"PatientID": "P7"}, tmp_path / "out")
        server = DicomServer(url=url, ca_bundle=certificate)
        assert pull_images(server, {"PatientID": "P7"}, tmp_path / "out").failures == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", requests.certs.where())
        assert pull_images(server, {"PatientID": "P7"}, tmp_path / "out").failures == []


# ------------------------------------------------------------------------------------- sending


class Store(Handler):
    """A server that has nothing and takes everything."""

    def do_GET(self):
        self.answer_json([])

    def do_STORE(self):
        self.answer_json({"00081199": {"vr": "SQ", "Value": []}})


def push(handler, found):
    with serving(handler) as url:
        return push_results(found, DicomServer(url=url))


def test_objects_that_a_server_does_not_take(tmp_path):
    class Picky(Store):
        def do_STORE(self):
            failed = {
                "00081150": {"vr": "UI", "Value": ["1.2"]},
                "00081155": {"vr": "UI", "Value": ["1.2"]},
                "00081197": {"vr": "US", "Value": [0xA700]},
            }
            self.answer_json({"00081198": {"vr": "SQ", "Value": [failed]}}, status=202)

    found = save_results(tmp_path, images=1, kinds=("sr", "pr"))
    counts = push(Picky, found)
    assert counts.transferred == 0
    assert len(counts.failures) == 2
    assert "did not take it (failure reason 0xA700)" in str(counts.failures[0].error)


def test_one_object_that_is_refused_does_not_affect_the_others(tmp_path):
    stored = []

    class Full(Store):
        def do_STORE(self):
            stored.append(self.path)
            if len(stored) == 2:
                self.answer(b"disk full", status=507)
            else:
                super().do_STORE()

    counts = push(Full, save_results(tmp_path, images=3, kinds=("sr",)))
    assert counts.transferred == 2
    (failure,) = counts.failures
    assert "507" in str(failure.error)
    assert "disk full" in str(failure.error)
    assert "IM1.sr.dcm" in failure.source


def test_servers_that_only_take(tmp_path):
    class NoSearch(Store):
        def do_GET(self):
            self.answer(b"", status=405)

    assert push(NoSearch, save_results(tmp_path, kinds=("sr",))).transferred == 2


def test_sending_with_wrong_credentials_stops_at_once(tmp_path):
    class Refusing(Handler):
        def do_GET(self):
            self.answer(b"", status=401)

    with pytest.raises(DicomServerError, match="refuses"):
        push(Refusing, save_results(tmp_path, kinds=("sr",)))
    assert len(Refusing.asked) == 1


def test_objects_that_are_gone_or_damaged(tmp_path):
    found = save_results(tmp_path, images=3, kinds=("sr",))
    (found / "IM0.sr.dcm").unlink()
    (found / "IM1.sr.dcm").write_bytes(b"damaged")
    counts = push(Store, found)
    assert counts.transferred == 1
    assert "no such file; detect again" in str(counts.failures[0].error)
    assert "IM1.sr.dcm: not a readable DICOM object" in str(counts.failures[1].error)


# --------------------------------------------------------------------------------- before work


def test_progress_is_told(tmp_path, images):
    told = []

    class Whole(OneStudy):
        pass

    Whole.images = images
    with serving(Whole) as url:
        pull_images(
            DicomServer(url=url),
            {"PatientID": "P7"},
            tmp_path / "out",
            progress=lambda *args: told.append(args),
        )
    assert told == [("pull", number, 3, {}) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "the query is empty"),
        ({"PatientId": "P7"}, "cannot name 'PatientId'; did you mean 'PatientID'?"),
    ],
)
def test_queries_are_checked(tmp_path, query, message):
    with pytest.raises(ConfigurationError, match=message):
        pull_images(DicomServer(url="http://127.0.0.1:1"), query, tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"url": "127.0.0.1:8042"}, ConfigurationError, "is no URL of a DICOMweb server"),
        ({"url": "ftp://host/"}, ConfigurationError, "is no URL of a DICOMweb server"),
        ({"url": "http://a:secret@host/"}, ConfigurationError, "LUNGPATCH_DICOMWEB_PASSWORD"),
        ({"url": "http://host", "timeout": 0}, ConfigurationError, "timeout must be above 0"),
        ({"url": "http://host", "ca_bundle": "no.pem"}, MissingInputError, "no.pem: no such file"),
    ],
)
def test_servers_are_checked(options, error, message):
    with pytest.raises(error, match=message) as caught:
        DicomServer(**options)
    assert "secret" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_told_before_the_server_is_asked(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DestinationError):
        pull_images(DicomServer(url="http://127.0.0.1:1"), {"PatientID": "P"}, tmp_path / "file/a")


def test_folders_without_objects(tmp_path):
    server = DicomServer(url="http://127.0.0.1:1")
    with pytest.raises(MissingInputError, match="no such file; give a folder that detect_folder"):
        push_results(tmp_path, server)
    (tmp_path / "detections.jsonl").write_text('{"image": "a", "status": "ok"}\n')
    with pytest.raises(MissingInputError, match="name no DICOM object; detect with --dicom"):
        push_results(tmp_path, server)


def test_the_extra_is_asked_for_before_work(tmp_path, monkeypatch):
    from lungpatch._utils import extras

    found = save_results(tmp_path, images=1, kinds=("sr",))
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda _: None)
    server = DicomServer(url="http://127.0.0.1:1")
    with pytest.raises(MissingExtraError, match=r'pip install "lungpatch\[dicom\]"'):
        pull_images(server, {"PatientID": "P7"}, tmp_path / "out")
    with pytest.raises(MissingExtraError, match=r'pip install "lungpatch\[dicom\]"'):
        push_results(found, server)
