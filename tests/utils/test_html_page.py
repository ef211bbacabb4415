import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from lungpatch._utils.html_page import HtmlPage

NASTY = "<script>alert(\"1\")</script> & 'more' \udcff"


class Reader(HTMLParser):
    """Collects texts, tags and attributes; checks that tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1], data))


def read(page: HtmlPage, tmp_path) -> Reader:
    page.write(tmp_path / "page.html")
    reader = Reader()
    reader.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def test_parts_are_in_the_order_they_were_added(tmp_path):
    page = HtmlPage("Title")
    page.paragraph("first")
    page.heading("second")
    page.table([["a", "0.93", "12 %"], ["b", "-1", "3.5 %"]], header=("name", "score", "fraction"))
    page.paragraph("last")
    reader = read(page, tmp_path)
    texts = [item for item in reader.texts if item[0] != "style"]
    assert texts[:4] == [("title", "Title"), ("h1", "Title"), ("p", "first"), ("h2", "second")]
    assert [text for tag, text in texts if tag == "td"] == ["a", "0.93", "12 %", "b", "-1", "3.5 %"]
    assert texts[-1] == ("p", "last")
    kinds = [attributes.get("class") for tag, attributes in reader.tags if tag == "td"]
    assert kinds == [None, "number", "number"] * 2


def test_all_text_is_escaped(tmp_path):
    page = HtmlPage(NASTY)
    page.heading(NASTY)
    page.paragraph(NASTY)
    page.table([[NASTY]], header=[NASTY])
    page.figure(np.zeros((2, 2), np.uint8), caption=NASTY, alt=NASTY)
    reader = read(page, tmp_path)
    assert not any(tag == "script" for tag, _ in reader.tags)
    seen = NASTY.replace("\udcff", "?")
    texts = [text for tag, text in reader.texts if tag != "style"]
    assert texts == [seen] * 7
    assert [a["alt"] for tag, a in reader.tags if tag == "img"] == [seen]


@pytest.mark.parametrize("shape", [(5, 9), (5, 9, 3)])
def test_a_rendering_is_in_the_page_bit_by_bit(tmp_path, shape):
    rendering = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    page = HtmlPage("Title")
    page.figure(rendering, caption="", alt="noise")
    reader = read(page, tmp_path)
    (image,) = (attributes for tag, attributes in reader.tags if tag == "img")
    assert (image["width"], image["height"]) == ("9", "5")
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/png;base64"
    np.testing.assert_array_equal(Image.open(io.BytesIO(base64.b64decode(data))), rendering)
    assert not any(tag == "figcaption" for tag, _ in reader.tags)


def test_the_page_fetches_nothing(tmp_path):
    page = HtmlPage("Title")
    page.figure(np.zeros((2, 2), np.uint8), caption="c", alt="a")
    read(page, tmp_path)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|url\(|@import|<link|<script", text)


def test_a_row_of_another_length_than_the_header_is_refused():
    with pytest.raises(ValueError, match="2 cells, the header 1"):
        HtmlPage("Title").table([("a", "b")], header=("one",))


def test_a_table_may_be_empty(tmp_path):
    page = HtmlPage("Title")
    page.table([], header=("one", "two"))
    assert [text for tag, text in read(page, tmp_path).texts if tag == "th"] == ["one", "two"]
