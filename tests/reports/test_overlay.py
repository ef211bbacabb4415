import importlib

import attrs
import numpy as np
import pytest
from made_detections import GRID, SCALE, make_detection
from PIL import Image
from scipy import ndimage

from lungpatch.containers import AnomalyMap
from lungpatch.pipeline.localisation import localise
from lungpatch.reports import overlay, write_overlay

overlay_module = importlib.import_module("lungpatch.reports.overlay")  # its function hides it

CYAN = (0, 229, 255)
LUNGS = (110, 205, 140)
WHITE = (255, 255, 255)


def panels(rendering, detection):
    """Cut the plain and the marked radiograph out of an overlay that shows their native size."""
    grey = np.rint(detection.image.pixels * np.float32(255)).astype(np.uint8)
    height, width = grey.shape
    for row, column in np.argwhere((rendering == grey[0, 0]).all(axis=2)):
        plain = rendering[row : row + height, column : column + width]
        if plain.shape == (height, width, 3) and (plain == grey[..., None]).all():
            rest = rendering[row : row + height, column + width :]
            gap = next(c for c in range(rest.shape[1]) if (rest[0, c] == grey[0, 0]).all())
            return plain, rest[:, gap : gap + width]
    pytest.fail("the plain radiograph is not in the rendering")


@pytest.fixture
def drawn(monkeypatch):
    """Record the texts drawn and where they end: (text, right edge, bottom, canvas size)."""
    calls = []
    original = overlay_module.draw_text

    def draw_text(draw, position, text, colour, font):
        right, bottom = draw.textbbox(position, text, font)[2:]
        calls.append((text, right, bottom, draw.im.size))
        original(draw, position, text, colour, font)

    monkeypatch.setattr(overlay_module, "draw_text", draw_text)
    return calls


def test_the_radiograph_is_shown_plain_and_marked():
    detection = make_detection()
    plain, marked = panels(overlay(detection, SCALE), detection)
    changed = (plain != marked).any(axis=2)
    # Frames are drawn at most two pixels outside their boxes.
    near_lung = ndimage.binary_dilation(detection.native_lungs, np.ones((3, 3)), iterations=2)
    assert not changed[~near_lung & ~label_area(detection)].any()
    assert changed[detection.native_lungs].mean() > 0.99


def label_area(detection):
    """Where the labels of boxes can be: within 40 pixels of the box."""
    area = np.zeros(detection.image.shape, bool)
    for row0, col0, row1, col1 in detection.native_boxes:
        area[max(0, row0 - 40) : row1 + 40, max(0, col0 - 40) : col1 + 60] = True
    return area


def test_the_contour_runs_along_the_inner_edge_of_what_is_above_the_threshold():
    detection = make_detection(spots=((16, 40), (40, 12)))
    _, marked = panels(overlay(detection, SCALE), detection)
    contour = (marked == CYAN).all(axis=2)
    above = detection.native_heatmap > 3.0
    edge = above & ~ndimage.binary_erosion(above, np.ones((3, 3)))
    assert contour[edge].all()
    assert not contour[~above].any()


def test_the_lungs_and_the_boxes_are_outlined():
    detection = make_detection()
    _, marked = panels(overlay(detection, SCALE), detection)
    lungs = detection.native_lungs
    edge = lungs & ~ndimage.binary_erosion(lungs, np.ones((3, 3)))
    edge &= ~label_area(detection)
    assert ((marked == LUNGS).all(axis=2) == edge)[~label_area(detection)].all()
    row0, col0, row1, col1 = detection.native_boxes[0]
    assert (marked[row1 + 1, col0:col1] == WHITE).all()
    assert (marked[row0:row1, col1 + 1] == WHITE).all()


def test_a_score_has_the_same_colour_whatever_else_is_in_the_image():
    calm = make_detection(hot=2.5)
    wild = make_detection(hot=400.0)
    _, of_calm = panels(overlay(calm, SCALE), calm)
    _, of_wild = panels(overlay(wild, SCALE), wild)
    same = (calm.native_heatmap == 2.0) & ~label_area(wild)
    assert same.any()
    np.testing.assert_array_equal(of_calm[same], of_wild[same])


@pytest.mark.parametrize(
    ("detection", "words"),
    [
        (
            make_detection(hot=6.0),
            "image score 2, p = 0.04 (fraction of normal images that score as high)",
        ),
        (
            make_detection(hot=3.0),
            "image score 1, p = 0.04 (fraction of normal images that score as high)",
        ),
        (make_detection(status="no_lungs", spots=()), "no lungs found: not scored"),
        (
            make_detection(status="no_patches", spots=()),
            "too little lung for a patch: not scored",
        ),
        (
            make_detection(status="out_of_scope", reason="ViewPosition is LL"),
            "out of scope, not classified: ViewPosition is LL",
        ),
    ],
)
def test_the_header_says_it_in_words(drawn, detection, words):
    overlay(detection, SCALE)
    texts = [text for text, *_ in drawn]
    assert "image" in texts
    assert words in texts


@pytest.mark.parametrize("shape", [(600, 512), (40, 2000), (2000, 40)])
@pytest.mark.parametrize("spots", [(), ((16, 40),), tuple((row, 12) for row in range(8, 56, 12))])
def test_the_regions_are_written_in_full(drawn, shape, spots):
    detection = make_detection(shape=shape, spots=spots)
    overlay(detection, SCALE)
    words = " ".join(text for text, *_ in drawn).split()
    for line in detection.regions.lines:
        wanted = line.split()
        assert any(words[i : i + len(wanted)] == wanted for i in range(len(words))), line


def test_long_words_are_broken_into_lines_that_fit(drawn):
    slim = make_detection(shape=(2000, 40))
    heatmap = np.full((GRID, GRID), np.nan, np.float32)
    heatmap[8:56, 8:56] = 1.2345e-5
    anomaly_map = AnomalyMap(heatmap=heatmap)
    detection = attrs.evolve(slim, anomaly_map=anomaly_map, localisation=localise(anomaly_map, 0.0))
    (line,) = detection.regions.lines
    assert len(line) > 110
    overlay(detection, SCALE)
    written = [text for text, *_ in drawn]
    first = next(n for n, text in enumerate(written) if line.startswith(text) and len(text) > 20)
    assert " ".join(" ".join(written[first:]).split()) == line
    for _, right, bottom, (width, height) in drawn[first:]:
        assert right <= width
        assert bottom <= height


def test_an_image_without_lungs_is_shown_unmarked():
    detection = make_detection(status="no_lungs", spots=())
    plain, marked = panels(overlay(detection, SCALE), detection)
    np.testing.assert_array_equal(plain, marked)


def test_out_of_scope_nothing_is_shown_as_found(drawn):
    detection = make_detection(status="out_of_scope", reason="not a chest")
    _, marked = panels(overlay(detection, SCALE), detection)
    assert not (marked == CYAN).all(axis=2).any()
    assert len(detection.native_boxes) == 0
    texts = {text for text, *_ in drawn}
    assert "lungs" in texts
    assert not any("threshold" in text or "zone" in text for text in texts)


def test_the_colour_bar_is_labelled(drawn):
    overlay(make_detection(), SCALE)
    texts = {text for text, *_ in drawn}
    assert {"5 or more", "1 or less", "anomaly score", "region threshold", "3"} <= texts


@pytest.mark.parametrize("threshold", [0.25, 77.0])
def test_a_threshold_off_the_scale_says_so(drawn, threshold):
    overlay(make_detection(threshold=threshold), SCALE)
    assert f"{threshold:g} (off scale)" in {text for text, *_ in drawn}


SHAPES = [(1, 1), (28, 28), (256, 256), (40, 2000), (2000, 40), (1500, 900)]
NAMES = ["two\nlines\tand \udcff", "Köln_日本_\N{LUNGS}", ""]


@pytest.mark.parametrize(
    ("shape", "name"),
    [(shape, "a" * 3000) for shape in SHAPES] + [((256, 256), name) for name in NAMES],
)
def test_every_text_lies_on_the_picture(drawn, shape, name):
    spots = [(row, column) for row in range(8, 56, 12) for column in (8, 20, 36, 48)]
    rendering = overlay(make_detection(shape=shape, name=name, spots=spots), SCALE)
    assert rendering.dtype == np.uint8
    overlay(make_detection(shape=shape, status="out_of_scope", reason=name), SCALE)
    assert len(drawn) > 8
    for text, right, bottom, (width, height) in drawn:
        assert right <= width, text
        assert bottom <= height, text


@pytest.mark.parametrize("shape", [(256, 256), (28, 28), (3000, 2500)])
def test_letters_are_large_beside_the_picture(drawn, shape):
    rendering = overlay(make_detection(shape=shape, name="H"), SCALE)
    top = next(bottom for text, _, bottom, size in drawn if text == "H")
    assert top > rendering.shape[1] / 90
    assert max(rendering.shape) < 2400


def test_accents_are_written_without_them_and_the_rest_as_question_marks(drawn):
    overlay(make_detection(name="Köln_日\n"), SCALE)
    assert "Koln_??" in {text for text, *_ in drawn}


def test_the_overlay_is_written_as_drawn(tmp_path):
    detection = make_detection()
    drawn = overlay(detection, SCALE)
    for name in ("image.png", "image.overlay.jpg"):
        write_overlay(tmp_path / name, detection, SCALE)
    with Image.open(tmp_path / "image.png") as rendering:
        np.testing.assert_array_equal(rendering, drawn)
    with Image.open(tmp_path / "image.overlay.jpg") as rendering:
        assert rendering.format == "JPEG"
        assert np.abs(np.asarray(rendering, float) - drawn).mean() < 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.overlay.jpg", "image.png"]
