"""The worklist page in a real browser, from the disk, as a reader uses it."""

import csv
import io
import re
import shutil

import numpy as np
import pytest
from made_detections import SCALE
from made_worklist import N, made_record, region, with_views, write_records
from PIL import Image

import lungpatch
from lungpatch.containers.grids import to_native_grid

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

P_VALUES = {"delta": 0.01, "alpha": 0.05, "echo": 0.1, "bravo": 0.11, "charlie": 0.5}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        # Root, as in containers, cannot have Chromium's sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five scored images with views (600 x 512, of which delta has a spot), and four others."""
    folder = write_records(tmp_path_factory.mktemp("found"), [])
    records = [made_record(f"{name}.png", p=p) for name, p in P_VALUES.items()]
    # One region in the left lung, whose box is (150, 320) to (225, 384).
    records[0] = with_views(folder, records[0])
    records[1] = with_views(folder, records[1], spots=()) | {
        "regions": [region("right upper zone", ["right"], ["upper"])]
    }
    # Large archives have folders.
    records[4] = with_views(folder, records[4] | {"name": "0001/charlie"}, spots=())
    records[2] |= {"regions": [region("both lungs, lower", ["right", "left"], ["lower"])]}
    records += [
        made_record("empty.png", status="no_lungs", summary=["not scored"]),
        made_record("little.png", status="no_patches", summary=["not scored"]),
        made_record("foot.dcm", status="out_of_scope", reason="BodyPartExamined is FOOT"),
        {"image": "images/broken.png", "status": "error", "error": "broken.png: cut short"},
    ]
    write_records(folder, records)
    lungpatch.worklist(folder)
    return folder


@pytest.fixture
def open_page(browser):
    """Open a page in a browser of its own; scripts must not fail, and nothing else be loaded."""
    contexts, problems = [], []

    def open_page(folder, **settings):
        settings = {"viewport": {"width": 1400, "height": 900}} | settings
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: loaded(request.url))
        page.goto((folder / "index.html").as_uri())
        return page

    def loaded(url):
        if not url.startswith(("file://", "data:", "blob:")):
            problems.append(url)

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def page(open_page, folder):
    return open_page(folder)


@pytest.fixture
def wide_page(open_page, folder):
    return open_page(folder, viewport={"width": 1800, "height": 1000})


def rows(page):
    """The rows, from the top."""
    return sorted(
        page.locator(".row").all(), key=lambda row: int(row.get_attribute("aria-rowindex"))
    )


def names(page):
    return [row.locator(".name").inner_text() for row in rows(page)]


def stems(page):
    return [name.rsplit(".", 1)[0] for name in names(page)]


def move_rate(page, level):
    page.locator("#rate").fill(str(level))


def flagged(page):
    shown = [row for row in rows(page) if row.locator(".flagged").count()]
    return [row.locator(".name").inner_text().removesuffix(".png") for row in shown]


def test_the_most_unusual_images_come_first(page):
    assert stems(page) == ["delta", "alpha", "echo", "bravo", "charlie", "empty", "little"]
    assert page.locator("#counts").inner_text() == "9 images, 3 flagged, 0 read"
    header = page.get_by_role("columnheader", name="p-value")
    assert header.get_attribute("aria-sort") == "ascending"


def test_any_column_sorts_both_ways_and_what_has_no_value_stays_last(wide_page):
    page = wide_page
    by_p = ["delta", "alpha", "echo", "bravo", "charlie"]
    rest = ["empty", "little"]
    page.get_by_role("button", name="p-value").click()
    assert stems(page) == by_p[::-1] + rest
    page.get_by_role("button", name="Score").click()
    assert stems(page) == by_p + rest
    page.get_by_role("button", name="Image", exact=True).click()
    assert stems(page) == sorted(by_p + rest)
    page.get_by_role("button", name="Image", exact=True).click()
    assert stems(page) == sorted(by_p + rest, reverse=True)
    assert page.locator("[aria-sort=descending]").inner_text() == "Image"
    page.get_by_role("button", name="Boxes").click()
    assert stems(page)[0] == "delta"


@pytest.mark.parametrize(
    ("label", "option", "expected"),
    [
        ("Flagged", "flagged", ["delta", "alpha", "echo"]),
        ("Flagged", "not flagged", ["bravo", "charlie"]),
        ("Side", "right lung", ["alpha", "echo"]),
        ("Side", "left lung", ["delta", "echo"]),
        ("Zone", "upper", ["delta", "alpha"]),
        ("Zone", "lower", ["echo"]),
        ("Zone", "middle", []),
        ("Status", "no lungs found", ["empty"]),
        ("Status", "scored", ["delta", "alpha", "echo", "bravo", "charlie"]),
    ],
)
def test_filters(page, label, option, expected):
    page.get_by_role("combobox", name=label).select_option(option)
    assert stems(page) == expected
    assert page.get_by_text("No image passes these filters.").is_visible() == (not expected)
    page.get_by_role("button", name="Clear").click()
    page.locator(".row").nth(6).wait_for()


def test_side_and_zone_are_those_of_one_region(page):
    page.get_by_role("combobox", name="Side").select_option("right lung")
    page.get_by_role("combobox", name="Zone").select_option("upper")
    assert stems(page) == ["alpha"]  # echo has regions right and left, and none is upper


def test_search_by_name(page):
    search = page.get_by_label("Name")
    search.fill("ALPH")
    assert stems(page) == ["alpha"]
    search.fill("png r")
    assert stems(page) == ["bravo", "charlie"]
    search.fill("nothing of that name")
    assert stems(page) == []
    assert page.locator("#viewer-title").inner_text() == "No image chosen"


def test_the_rate_recounts_what_is_flagged(page):
    rate = page.get_by_role("slider", name="False-alarm rate")
    assert page.locator("#rate-value").inner_text() == "10 %, as decided"
    assert (rate.get_attribute("min"), rate.get_attribute("max")) == ("1", "50")
    note = page.locator("#rate-note").inner_text()
    assert note == f"3 of 5 flagged. Calibrated on n = {N} normal patients; finest rate 1 %."
    for level, expected in {
        1: ["delta"],
        4: ["delta"],
        5: ["delta", "alpha"],
        11: ["delta", "alpha", "echo", "bravo"],
        50: ["delta", "alpha", "echo", "bravo", "charlie"],
    }.items():
        move_rate(page, level)
        assert flagged(page) == expected
        assert page.locator("#rate-value").inner_text() == f"{level} %"
        assert f"{len(expected)} flagged" in page.locator("#counts").inner_text()
    assert (
        "lungpatch decide FOUND --false-alarm-rate 0.5" in page.locator("#rate-note").inner_text()
    )
    page.get_by_role("combobox", name="Flagged").select_option("not flagged")
    move_rate(page, 7)
    assert stems(page) == ["echo", "bravo", "charlie"]
    page.get_by_role("button", name="Reset").click()
    assert stems(page) == ["bravo", "charlie"]
    assert page.locator("#rate-value").inner_text() == "10 %, as decided"


def test_what_the_page_flags_at_a_rate_is_what_decide_flags(open_page, tmp_path):
    """Also where p-values are no decimal fractions: 1/26, 2/26 and so on."""
    levels = range(1, 14)
    records = [made_record(f"{k:02}.png", p=k / 26) for k in levels]
    for record, k in zip(records, levels, strict=True):
        record["pred_score"] = 26.5 - k  # of the scores 1 to 25, k - 1 are as high
    folder = write_records(tmp_path, records, n=25)
    lungpatch.worklist(folder)
    page = open_page(folder)
    for level in (1, 3, 6, 7, 12, 13):
        move_rate(page, level)
        shown = {int(name) for name in flagged(page)}
        assert shown == set(range(1, level + 1))
        command = page.locator("#rate-note code").inner_text()
        counts = lungpatch.decide(folder, false_alarm_rate=float(command.split()[-1]))
        assert counts.above == level


def test_what_is_out_of_scope_or_failed_has_a_tab_of_its_own(page):
    page.get_by_role("tab", name="Out of scope, failed 2").click()
    assert names(page) == ["broken.png", "foot.dcm"]
    assert [row.locator(".words").inner_text() for row in rows(page)] == [
        "broken.png: cut short",
        "BodyPartExamined is FOOT",
    ]
    assert not page.get_by_role("slider", name="False-alarm rate").is_visible()
    page.get_by_role("combobox", name="Status").select_option("out of scope")
    assert names(page) == ["foot.dcm"]
    assert page.locator("#viewer-message").inner_text() == "BodyPartExamined is FOOT"
    page.get_by_role("tab", name="Worklist 7").click()
    assert len(names(page)) == 7


def test_it_says_how_it_was_made(page):
    assert "Research use only" in page.locator("header").inner_text()
    page.get_by_role("tab", name="How it was made").click()
    text = page.locator("#panel-made").inner_text()
    for fact in ("default", f"{N} normal patients", "ConformalThresholder", "UTC", "1 %"):
        assert fact in text
    assert "not a medical device" in text
    assert re.search(rf"Page by\s+lungpatch {re.escape(lungpatch.__version__)}", text)


def test_regions_in_words_and_their_boxes(page):
    finding = page.locator("#finding").inner_text()
    assert "flagged" in finding
    assert "p = 0.010: about 1 % of normal images score as high" in finding
    (button,) = page.locator("#regions button").all()
    assert "left upper zone" in button.inner_text()
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#boxes .chosen").count() == 1


def stage_box(page):
    page.locator("#stage").wait_for()
    return page.locator("#stage").bounding_box()


def test_boxes_lie_on_their_native_pixels(page):
    """Of an image of 600 rows and 512 columns, at two zooms."""
    for key in ("0", "1"):
        page.keyboard.press(key)
        stage = stage_box(page)
        box = page.locator("#boxes .line").bounding_box()
        zoom_x, zoom_y = stage["width"] / 512, stage["height"] / 600
        assert zoom_x == pytest.approx(zoom_y, rel=0.01)
        found = [
            (box["x"] - stage["x"]) / zoom_x,
            (box["y"] - stage["y"]) / zoom_y,
            (box["x"] + box["width"] - stage["x"]) / zoom_x,
            (box["y"] + box["height"] - stage["y"]) / zoom_y,
        ]
        # The line has a width of its own.
        assert found == pytest.approx([320, 150, 384, 225], abs=2)


def screenshot_of_stage(page):
    page.keyboard.press("1")
    page.evaluate("() => Promise.all([view, map, lungs].map((image) => image.decode()))")
    box = stage_box(page)
    assert (box["width"], box["height"]) == (512, 600)
    png = page.screenshot(clip=box)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int64)


def test_the_map_lies_on_its_pixels_and_opacity_and_keys_change_it(wide_page):
    page = wide_page
    for key in ("b", "l"):
        page.keyboard.press(key)
    page.get_by_label("Opacity").fill("100")
    full = screenshot_of_stage(page)
    page.get_by_label("Opacity").fill("50")
    half = screenshot_of_stage(page)
    page.keyboard.press("m")
    assert not page.get_by_label("Anomaly map").is_checked()
    plain = screenshot_of_stage(page)
    assert (plain == plain[..., :1]).all()  # grey

    heatmap = np.full((64, 64), np.nan)
    heatmap[8:56, 8:28] = heatmap[8:56, 36:56] = 2.0
    heatmap[16:24, 40:48] = 6.0
    rgba = to_native_grid(SCALE.to_rgba(heatmap).view(np.uint32)[..., 0], (600, 512))
    colours = np.ascontiguousarray(rgba)[..., None].view(np.uint8).astype(np.int64)
    for shown, opacity in ((full, 1.0), (half, 0.5)):
        alpha = opacity * colours[..., 3:] / 255
        expected = alpha * colours[..., :3] + (1 - alpha) * plain
        assert np.abs(shown - expected).max() <= 3


def test_the_lungs_outline_lies_at_the_edge_of_the_mask(wide_page):
    page = wide_page
    for key in ("b", "m"):
        page.keyboard.press(key)
    shown = screenshot_of_stage(page)
    green = (shown[..., 1] - shown[..., 0] > 20) & (shown[..., 1] - shown[..., 2] > 10)
    rows, columns = np.nonzero(green)
    # The lungs fill rows 8 to 56 and columns 8 to 28 and 36 to 56 of a grid of 64.
    assert (rows.min(), rows.max()) == (pytest.approx(75, abs=2), pytest.approx(525, abs=2))
    assert (columns.min(), columns.max()) == (pytest.approx(64, abs=2), pytest.approx(448, abs=2))
    assert green[300, 220:228].any()
    assert green[300, 284:292].any()
    assert not green[300, 232:280].any()


def test_files_in_folders_are_shown_under_the_names_of_their_images(page):
    rows(page)[4].click()
    stage_box(page)
    assert page.locator("#viewer-title").inner_text() == "charlie.png"
    assert rows(page)[4].locator(".thumb img").evaluate("image => image.decode()") is None


def test_keys_page_zoom_and_switch(page):
    title = page.locator("#viewer-title")
    assert title.inner_text() == "delta.png"
    for key, expected in (
        ("j", "alpha"),
        ("n", "echo"),
        ("k", "alpha"),
        ("p", "delta"),
        ("p", "delta"),
    ):
        page.keyboard.press(key)
        assert title.inner_text() == f"{expected}.png"
    stage_box(page)
    zoom = page.locator("#zoom-value")
    whole = zoom.inner_text()
    page.keyboard.press("1")
    assert zoom.inner_text() == "100 %"
    page.keyboard.press("+")
    assert zoom.inner_text() == "125 %"
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert zoom.inner_text() == "80 %"
    page.keyboard.press("0")
    assert zoom.inner_text() == whole
    for key, label in (("m", "Anomaly map"), ("b", "Boxes"), ("l", "Lungs")):
        page.keyboard.press(key)
        assert not page.get_by_role("checkbox", name=label).is_checked()
        page.keyboard.press(key)
        assert page.get_by_role("checkbox", name=label).is_checked()
    page.keyboard.press("[")
    assert page.get_by_label("Opacity").input_value() == "70"
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("j")  # not while the help is open
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    assert title.inner_text() == "delta.png"


def test_letters_are_no_keys_while_one_writes_or_if_switched_off(page):
    page.keyboard.press("/")
    page.keyboard.type("a")
    assert page.get_by_label("Name").input_value() == "a"
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.type("jam")
    assert page.get_by_label("Note").input_value() == "jam"
    assert page.locator("#viewer-title").inner_text() == "delta.png"
    assert page.get_by_label("Anomaly map").is_checked()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Help").click()
    page.get_by_label("Use keys of a single letter").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert page.locator("#viewer-title").inner_text() == "delta.png"


def test_the_list_is_walked_by_the_arrows(page):
    page.locator("#grid").focus()
    for key, expected in (
        ("ArrowDown", "alpha"),
        ("End", "little"),
        ("ArrowUp", "empty"),
        ("Home", "delta"),
        ("PageDown", "little"),
    ):
        page.keyboard.press(key)
        assert page.locator("#viewer-title").inner_text() == f"{expected}.png"
        active = page.locator("#grid").get_attribute("aria-activedescendant")
        assert page.locator(f"#{active} .name").inner_text() == f"{expected}.png"
        assert page.locator(".row[aria-selected=true]").count() == 1


def test_everything_can_be_reached_by_the_tabulator(page):
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.name"))
    expected = {"help-open", "tab-list", "search", "status", "flagged", "side", "zone", "rate"}
    expected |= {"grid", "next", "zoom-in", "viewport", "show-map", "opacity", "verdict", "note"}
    assert expected <= reached


def test_verdicts_and_notes_survive_a_reload_and_are_exported(open_page, folder):
    page = open_page(folder, accept_downloads=True)
    assert page.get_by_role("button", name="Export verdicts").is_disabled()
    page.keyboard.press("a")
    page.keyboard.press("j")
    page.get_by_role("radio", name="normal", exact=True).check(force=True)
    page.get_by_label("Note").fill('=SUM("é", 1)\nsecond line')
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("u")
    page.keyboard.press("u")  # and back to unread
    assert page.locator("#counts").inner_text() == "9 images, 3 flagged, 2 read"
    page.reload()
    assert page.locator("#counts").inner_text() == "9 images, 3 flagged, 2 read"
    assert page.get_by_role("radio", name="abnormal").is_checked()
    page.get_by_role("combobox", name="Verdict").select_option("normal")
    assert stems(page) == ["alpha"]
    assert page.get_by_label("Note").input_value() == '=SUM("é", 1)\nsecond line'
    page.get_by_role("combobox", name="Verdict").select_option("unread")
    assert stems(page) == ["echo", "bravo", "charlie", "empty", "little"]
    move_rate(page, 2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export verdicts").click()
    assert download.value.suggested_filename == "verdicts.csv"
    text = download.value.path().read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["image"] for row in rows] == ["images/delta.png", "images/alpha.png"]
    assert [row["verdict"] for row in rows] == ["abnormal", "normal"]
    assert [row["flagged"] for row in rows] == ["true", "false"]
    assert [row["false_alarm_rate"] for row in rows] == ["0.02", "0.02"]
    assert [float(row["p_value"]) for row in rows] == [0.01, 0.05]
    assert rows[1]["note"] == '\'=SUM("é", 1)\nsecond line'
    assert all(re.match(r"\d{4}-\d\d-\d\dT", row["read"]) for row in rows)


def test_verdicts_of_one_folder_are_not_those_of_another(browser, folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    context = browser.new_context()
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    page.keyboard.press("a")
    page.goto((other / "index.html").as_uri())
    assert page.locator("#counts").inner_text() == "9 images, 3 flagged, 0 read"
    page.goto((folder / "index.html").as_uri())
    assert page.locator("#counts").inner_text() == "9 images, 3 flagged, 1 read"
    context.close()


def test_ten_thousand_rows_are_in_the_list_but_not_in_the_document(open_page, tmp_path):
    count = 10_000
    records = [made_record(f"n{k:05}.png", p=(k + 1) / count) for k in range(count)]
    lungpatch.worklist(write_records(tmp_path, records))
    page = open_page(tmp_path)
    assert page.locator("#grid").get_attribute("aria-rowcount") == str(count + 1)
    assert 5 < page.locator(".row").count() < 60
    # Wherever one scrolls to, there are the rows of that place, without a gap.
    places = [0, 1, 67, 68, 69, 68 * (count - 1), 68 * count]
    places += np.random.default_rng(0).integers(0, 68 * count, 40).tolist()
    for place in places:
        top, bottom, shown = page.evaluate(
            """(place) => new Promise((done) => {
              const grid = document.getElementById("grid");
              grid.scrollTop = place;
              const shown = () => [...grid.querySelectorAll(".row")].map((row) => [
                Number(row.getAttribute("aria-rowindex")),
                row.querySelector(".name").textContent,
                row.getBoundingClientRect().top - rows.getBoundingClientRect().top,
              ]);
              const height = grid.clientHeight - columns.offsetHeight;
              // The page draws in the frame after the one in which it is told.
              requestAnimationFrame(() => requestAnimationFrame(() =>
                done([grid.scrollTop, grid.scrollTop + height, shown()])));
            })""",
            place,
        )
        for index, name, offset in shown:
            assert name == f"n{index - 2:05}.png"
            assert offset == pytest.approx(68 * (index - 2), abs=0.5)
        indices = {index - 2 for index, _, _ in shown}
        assert set(range(int(top // 68), min(count, int(-(-bottom // 68))))) <= indices
        assert len(shown) < 60
    page.locator("#grid").focus()
    for keys in (["End"], ["Home"], ["PageDown"] * 3, ["ArrowDown"] * 9, ["ArrowUp"] * 12):
        for key in keys:
            page.keyboard.press(key)
        # Wherever the keys lead to, it is in view, below the heads of the columns.
        row = page.locator(".row[aria-selected=true]").bounding_box()
        grid, head = (page.locator(part).bounding_box() for part in ("#grid", "#columns"))
        assert row["y"] >= head["y"] + head["height"] - 1
        assert row["y"] + row["height"] <= grid["y"] + grid["height"] + 1
    page.keyboard.press("End")
    assert page.locator("#viewer-title").inner_text() == "n09999.png"
    page.get_by_label("Name").fill("n0777")
    assert names(page) == [f"n0777{k}.png" for k in range(10)]


HOSTILE = [
    "<img src=x onerror=window.bad=1>.png",
    "</script><script>window.bad=2</script>.png",
    'it\'s "quoted" & \\u0041\\.png',
    "new\nline\r\ttab.png",
    "\u2028\u2029\u202eright to left.png",
    "=cmd|' /C calc'!A0.png",
    "a\udcff.png",
    "100% #1?.png",
    "javascript:alert(1).png",
    "é 胸 🫁.png",
]


def test_hostile_names_are_shown_as_they_are_and_nothing_more(open_page, tmp_path):
    folder = write_records(tmp_path / "a #1 <b>?", [])
    records = []
    for index, name in enumerate(HOSTILE):
        record = made_record(name, p=(index + 1) / 100)
        record["image"] = name
        record["name"] = name.rsplit(".", 1)[0].replace("/", "_")
        record["reading"] = record["summary"] = ["<b onclick=window.bad=3>bold</b>"]
        records.append(record)
    # The file system may refuse some of these names; those with files are these.
    for index in (0, 2, 6, 7, 9):
        records[index] = with_views(folder, records[index])
    records.append(
        {"image": "<i>broken</i>", "status": "error", "error": "<svg onload=window.bad=4> cut"}
    )
    write_records(folder, records)
    lungpatch.worklist(folder)
    page = open_page(folder)
    # As code units of UTF-16, since not all of it is text.
    shown = page.locator(".row .name").evaluate_all(
        "all => all.map(({textContent: text}) => text.split('').map((unit) => unit.charCodeAt(0)))"
    )
    # What looks like a path is shown by the name of its results.
    labels = [
        record["name"] if re.search(r"[/\\]", name) else name
        for name, record in zip(HOSTILE, records, strict=False)
    ]
    assert shown == [
        np.frombuffer(label.encode("utf-16-le", "surrogatepass"), "<u2").tolist()
        for label in labels
    ]
    for index in range(len(HOSTILE)):
        if index in (0, 2, 6, 7, 9):
            stage_box(page)
            assert page.evaluate("document.getElementById('view').naturalWidth") == 512
            assert page.evaluate("document.getElementById('map').naturalWidth") == 64
        page.keyboard.press("a")
        page.keyboard.press("j")
    page.reload()
    assert f"{len(HOSTILE)} read" in page.locator("#counts").inner_text()
    assert "a #1 <b>?" in page.locator("#folder").inner_text()
    page.get_by_role("tab", name="Out of scope").click()
    assert page.locator(".row .words").inner_text() == "<svg onload=window.bad=4> cut"
    assert page.locator("main b[onclick], main svg[onload], main img[src=x]").count() == 0
    assert page.evaluate("window.bad") is None


def test_missing_files_are_told_and_never_replaced_by_those_of_another(open_page, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    for kind in ("view", "thumbnail"):
        (copy / "worklist" / f"alpha.{kind}.jpg").unlink()
    page = open_page(copy)
    stage_box(page)
    page.keyboard.press("j")
    page.get_by_text("The file of this image is missing").wait_for()
    assert rows(page)[1].locator(".thumb").inner_text() == "no image"
    assert rows(page)[0].locator(".thumb img").count() == 1
    assert not page.locator("#stage").is_visible()
    page.keyboard.press("j")
    page.get_by_text("No view of this image was written").wait_for()
    page.keyboard.press("k")
    page.keyboard.press("k")
    stage_box(page)
    (copy / "worklist" / "data.js").unlink()
    page.reload()
    assert "worklist/data.js is missing" in page.get_by_role("alert").inner_text()


def test_without_a_calibration_the_rate_cannot_be_moved(open_page, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "calibrations.json").unlink()
    lungpatch.worklist(copy)
    page = open_page(copy)
    assert page.get_by_role("slider", name="False-alarm rate").is_disabled()
    assert "No calibration is known" in page.locator("#rate-note").inner_text()
    assert flagged(page) == ["delta", "alpha", "echo"]


def test_on_a_narrow_screen_the_viewer_covers_the_list_and_gives_it_back(open_page, folder):
    page = open_page(folder, viewport={"width": 390, "height": 844})
    assert not page.locator("#viewer").is_visible()
    page.locator(".row").nth(1).click()
    assert page.locator("#viewer").is_visible()
    assert page.locator("#viewer-title").inner_text() == "alpha.png"
    page.get_by_role("button", name="Next image").click()
    page.get_by_role("button", name="Back to the list").click()
    assert not page.locator("#viewer").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.keyboard.press("Enter")
    assert page.locator("#viewer-title").inner_text() == "echo.png"
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_nothing_stands_in_the_way_of_readers_of_all_kinds(open_page, folder, scheme, width):
    """Labels, roles and contrasts by axe-core, in every part of the page."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is missing"
    ).Axe()
    page = open_page(folder, color_scheme=scheme, viewport={"width": width, "height": 844})
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    levels = [int(level) for level in re.findall(r"\d+", ground)]
    assert min(levels) > 200 if scheme == "light" else max(levels) < 60

    def check(part):
        found = axe.run(page).response["violations"]
        assert [(part, each["id"], each["nodes"][0]["target"]) for each in found] == []

    check("list")
    page.get_by_role("tab", name="How it was made").click()
    check("made")
    page.get_by_role("tab", name="Out of scope").click()
    check("outside")
    page.get_by_role("tab", name="Worklist").click()
    page.get_by_role("button", name="Help").click()
    check("help")
    page.keyboard.press("Escape")
    page.locator(".row").first.click()
    page.keyboard.press("a")
    page.locator("summary").click()
    check("viewer")
