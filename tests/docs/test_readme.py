"""The README's picture shows the shipped detector, and a package index can show the page."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from PIL import Image

import lungpatch
from lungpatch.pipeline import pipeline_digest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURE = ROOT / "docs" / "_static" / "sample.jpg"


def test_the_picture_was_drawn_with_the_shipped_detector():
    """After new weights: python docs/_ext/sample_picture.py."""
    with Image.open(PICTURE) as image:
        assert image.info["comment"].decode() == pipeline_digest(lungpatch.load_pipeline("default"))
    assert PICTURE.stat().st_size < 200_000
    assert "](docs/_static/sample.jpg)" in README


def test_the_rate_comes_before_the_commands():
    """In this order: the picture, what is found at which rate, three commands, links."""
    order = [
        README.index(part)
        for part in ("sample.jpg", "At a false-alarm rate of", "## Three commands", "## More")
    ]
    assert order == sorted(order)
    first = re.search(r"```console\n(.*?)```", README, flags=re.DOTALL)[1]
    assert [line[:17] for line in first.splitlines()] == [
        "$ pip install lun",
        "$ lungpatch demo",
        "$ lungpatch detec",
    ]


def test_figures_of_the_readme_are_in_its_counted_block_only():
    """No fraction of flagged images is typed into the text around the block."""
    rest = re.sub(r"<!-- decisions -->.*?<!-- end -->", "", README, flags=re.DOTALL)
    assert not re.search(r"\b0\.\d+\b|\d ?%", rest)


@pytest.fixture(scope="module")
def as_published():
    """The README as pyproject.toml has it changed for a package index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hook = project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    assert hook["fragments"] == [{"path": "README.md"}]
    text = README
    for each in hook["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    return text


def test_no_link_of_the_published_page_leads_nowhere(as_published):
    assert re.search(r"\]\((?!https?:)", README)  # there are links to files
    assert not re.search(r"\]\((?!https?:)", as_published)
    assert "<img" not in as_published
    assert "sample.jpg" not in as_published
    assert "Which detector? has the metrics" in as_published


def test_the_published_page_says_what_is_found(as_published):
    results = json.loads((ROOT / "docs/detectors-run/decisions.json").read_text(encoding="utf-8"))
    n = results["default"]["sets"]["Lung Opacity"]["n"]
    assert f"of {n} images with opacities" in " ".join(as_published.split())
    assert "not a medical device" in as_published


def test_no_user_page_speaks_of_data_that_visitors_lack():
    """Pages that say how our numbers were made may: benchmarks, detectors, evaluation."""
    docs = ROOT / "docs"
    names = ("index", "install", "tutorial", "command-line", "datasets", "configuration")
    pages = [ROOT / "README.md", *(docs / f"{name}.md" for name in names)]
    for page in [*pages, *(docs / "how-to").glob("*.md")]:
        assert "../shared" not in page.read_text(encoding="utf-8"), page.name
