"""What the worklist page is made of, without a browser."""

import csv
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_calibrations import made_calibration
from made_detections import GRID, SCALE, make_detection
from made_worklist import made_record, region
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.draw import polygon2mask

from lungpatch.containers.grids import to_native_grid
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import DestinationError, MissingInputError
from lungpatch.io import find_images
from lungpatch.reports import write_worklist
from lungpatch.reports.worklist import Maker, check_page, worklist_data, write_table, write_views
from lungpatch.reports.worklist.data import as_script
from lungpatch.reports.worklist.views import lungs_svg

MAKER = Maker(key="abc", pipeline="default", version="0.1", calibration=made_calibration(99))


@pytest.fixture(params=[(600, 512), (300, 700)], ids=["tall", "wide"])
def views(request, tmp_path):
    detection = make_detection(shape=request.param)
    files = write_views(tmp_path, "a", detection, SCALE)
    return detection, {kind: tmp_path / name for kind, name in files.items()}


def test_the_image_has_its_native_size_and_grey_levels(views):
    detection, files = views
    image = Image.open(files["image"])
    assert (image.height, image.width) == detection.image.shape
    assert image.mode == "L"
    # Noise is what JPEG keeps worst.
    assert np.abs(np.asarray(image) / 255 - detection.image.pixels).mean() < 0.03


def test_the_map_has_the_colours_of_the_scale_pixel_by_pixel(views):
    detection, files = views
    image = Image.open(files["map"])
    assert image.mode == "P"
    heatmap = detection.anomaly_map.heatmap
    np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), SCALE.to_rgba(heatmap))


def test_the_thumbnail_is_small_of_the_same_shape_and_shows_the_spot(views):
    detection, files = views
    small = np.asarray(Image.open(files["thumbnail"]), np.int64)
    height, width = detection.image.shape
    assert max(small.shape[:2]) == 128
    assert small.shape[0] / small.shape[1] == pytest.approx(height / width, rel=0.02)
    spot = to_native_grid(detection.anomaly_map.heatmap > 5, small.shape[:2])
    redness = small[..., 0] - small[..., 2]
    assert redness[spot].mean() > 40 + redness[~spot].mean()


def test_the_outline_of_the_lungs_encloses_the_mask(views):
    detection, files = views
    svg = files["lungs"].read_text()
    assert f'viewBox="0 0 {GRID} {GRID}" preserveAspectRatio="none"' in svg
    lungs = detection.lungs.pixels
    assert distance_between(drawn_in(svg, lungs.shape), lungs) <= 1


def test_the_outline_of_real_shapes_is_followed_closely():
    for seed in range(4):
        lungs = phantom_chest(seed, size=512).lungs
        svg = lungs_svg(lungs)
        assert distance_between(drawn_in(svg, lungs.shape), lungs) <= 2
        assert len(svg) < 5000


def drawn_in(svg, shape):
    """Return what the outlines of a picture enclose."""
    outlines = re.search(r' d="([^"]+)"', svg)[1]
    drawn = np.zeros(shape, bool)
    for outline in outlines.removeprefix("M").removesuffix("Z").split("ZM"):
        points = [tuple(map(float, point.split())) for point in outline.split("L")]
        # Pixel centres lie at halves of SVG's units.
        drawn |= polygon2mask(shape, [(y - 0.5, x - 0.5) for x, y in points])
    return drawn


def distance_between(drawn, mask):
    """Return how far from the border of a mask what was drawn differs from it, in pixels."""
    distance = distance_transform_edt(mask) + distance_transform_edt(~mask)
    return distance[drawn != mask].max(initial=0)


def test_no_lungs_have_no_outline():
    assert ' d=""' in lungs_svg(np.zeros((8, 8), bool))


def test_views_are_never_taken_for_radiographs(views):
    _, files = views
    folder = files["image"].parent
    assert sorted(path.name for path in folder.iterdir()) == sorted(f.name for f in files.values())
    with pytest.raises(MissingInputError, match="no images in this folder"):
        find_images(folder)


def test_the_same_detection_gives_the_same_files(views, tmp_path):
    detection, files = views
    again = write_views(tmp_path / "again", "a", detection, SCALE)
    for kind, name in again.items():
        assert (tmp_path / "again" / name).read_bytes() == files[kind].read_bytes()


RECORDS = [
    made_record(
        "b.png",
        p=0.03,
        boxes=[[1, 2, 30, 40], [5, 6, 7, 8]],
        regions=[region("right lower zone, lateral"), region("left upper zone", ["left"])],
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID="1.2.3.4",
        SOPInstanceUID="1.2.3.4.5",
    ),
    made_record("a.png", p=0.5),
    made_record("foot.png", status="out_of_scope", reason="BodyPartExamined is FOOT"),
    {"image": "broken.png", "status": "error", "error": "broken.png: cut short"},
]


def table_of(records, tmp_path):
    write_table(tmp_path / "t.csv", records)
    text = (tmp_path / "t.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_table_has_one_row_per_image_in_order(tmp_path):
    rows = table_of(RECORDS, tmp_path)
    assert [row["image"] for row in rows] == [record["image"] for record in RECORDS]
    first, second, foot, broken = rows
    assert {key: first[key] for key in ("status", "score", "p_value", "flagged")} == {
        "status": "ok",
        "score": "97.0",
        "p_value": "0.03",
        "flagged": "True",
    }
    assert (first["n_boxes"], json.loads(first["boxes"])) == ("2", RECORDS[0]["boxes"])
    assert first["regions"] == "right lower zone, lateral; left upper zone"
    assert first["seconds"] == "0.125"
    uids = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    assert [first[uid] for uid in uids] == ["1.2.3", "1.2.3.4", "1.2.3.4.5"]
    assert (second["flagged"], second["n_boxes"], second["StudyInstanceUID"]) == ("False", "0", "")
    assert second["regions"].startswith("nothing above 5")
    assert (foot["reason"], foot["flagged"], foot["n_boxes"]) == (RECORDS[2]["reason"], "", "")
    assert (broken["status"], broken["reason"]) == ("error", "broken.png: cut short")


def test_names_are_no_formulas_and_stay_the_same_paths(tmp_path):
    names = ["=1+1.png", "+a.png", "-b.png", "@c.png", "a,b.png", 'q"uote.png', "new\nline.png"]
    rows = table_of([{"image": name, "status": "error", "error": name} for name in names], tmp_path)
    assert [row["image"] for row in rows[:4]] == [f"./{name}" for name in names[:4]]
    assert [row["reason"][:1] for row in rows[:4]] == ["'"] * 4
    assert [row["image"] for row in rows[4:]] == names[4:]


def test_a_name_that_is_no_text_is_written_as_in_the_records(tmp_path):
    (row,) = table_of([{"image": "a\udcff.png", "status": "error", "error": ""}], tmp_path)
    assert row["image"] == "a\\udcff.png"


def test_the_page_knows_every_record():
    data = worklist_data(RECORDS, [MAKER], date="2026-01-01")
    columns = data["columns"]
    assert {len(column) for column in columns.values()} == {4}
    assert columns["p"] == [0.03, 0.5, None, None]
    assert columns["flagged"] == [True, False, None, None]
    assert columns["why"] == [None, None, "BodyPartExamined is FOOT", "broken.png: cut short"]
    assert columns["regions"][0] == [
        ["right lower zone, lateral", ["right"], ["lower"]],
        ["left upper zone", ["left"], ["lower"]],
    ]
    assert columns["maker"] == [0, 0, 0, None]
    assert columns["uids"] == [["1.2.3", "1.2.3.4", "1.2.3.4.5"], None, None, None]
    (maker,) = data["makers"]
    assert (maker["n"], maker["finest_rate"], maker["images"]) == (99, 0.01, 3)


def test_the_decided_rate_is_that_of_the_threshold():
    # Scores of the calibration are 1 to 99: nine lie above 90, so p is at most (1 + 9) / 100.
    (maker,) = worklist_data(RECORDS, [MAKER], date="")["makers"]
    assert (maker["thresholds"], maker["decided_rates"]) == ([90.0], [0.1])
    for record in RECORDS[:2]:
        assert record["pred_label"] == (record["p_value"] <= 0.1)


@given(st.text(alphabet=st.characters()))
def test_any_text_reaches_the_page_unchanged(text):
    script = as_script({"image": text})
    assert script.isascii()
    assert "\n" not in script[:-1]
    literal = re.fullmatch(r"window\.LUNGPATCH_WORKLIST = JSON\.parse\('(.*)'\);\n", script)[1]
    # As JavaScript reads a string: no quote ends it before its end, and \\ and \' are escapes.
    assert re.fullmatch(r"(?:[^'\\]|\\[\\'])*", literal)
    assert json.loads(re.sub(r"\\(.)", r"\1", literal)) == {"image": text}


def test_files_are_named_byte_by_byte_in_their_folders():
    record = made_record("0001/a b\udcff#?.png", p=0.5, views={"image": "x"}, overlay="js:a.png")
    columns = worklist_data([record], [], date="")["columns"]
    assert columns["views"] == ["0001/a%20b%FF%23%3F"]
    assert columns["overlay"] == ["./js%3Aa.png"]


def test_the_page_is_one_file_that_loads_nothing_from_elsewhere(tmp_path):
    page = write_worklist(tmp_path, RECORDS, [MAKER], date="2026-01-01").read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "detections.csv",
        "index.html",
        "worklist",
    ]
    assert set(re.findall(r"https?://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"<script src=\"([^\"]+)\"", page) == ["worklist/data.js"]
    assert "default-src 'none'" in page
    assert "not a medical device" in page


def test_the_same_records_give_the_same_files(tmp_path):
    for name in ("one", "two"):
        write_worklist(tmp_path / name, RECORDS, [MAKER], date="2026-01-01")
    for name in ("index.html", "detections.csv", "worklist/data.js"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_another_page_is_not_overwritten(tmp_path):
    page = tmp_path / "index.html"
    page.write_text("<h1>mine</h1>")
    with pytest.raises(DestinationError, match=r"index\.html: is there already and is no worklist"):
        write_worklist(tmp_path, RECORDS, [MAKER], date="")
    assert page.read_text() == "<h1>mine</h1>"
    assert list(tmp_path.iterdir()) == [page]
    page.unlink()
    write_worklist(tmp_path, RECORDS, [MAKER], date="")
    check_page(tmp_path)
    write_worklist(tmp_path, [], [], date="")
    page.unlink()
    page.mkdir()
    with pytest.raises(DestinationError):
        check_page(tmp_path)
