"""Draws the picture of the README: the shipped detector on the radiographs in the package.

``python docs/_ext/sample_picture.py`` writes ``_static/sample.jpg``. Its comment is the digest of
the detector that it was made with; a test compares it with the one that is shipped.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from lungpatch import load_pipeline
from lungpatch._utils.files import atomic_write
from lungpatch._utils.progress import silent
from lungpatch._utils.renderings import contact_sheet
from lungpatch.cli.demo import detect_in_sample
from lungpatch.datasets import sample
from lungpatch.pipeline import pipeline_digest

PICTURE = Path(__file__).parents[1] / "_static" / "sample.jpg"
SIDE, COLUMNS, QUALITY = 300, 4, 88


def draw() -> Image.Image:
    """Return all images, those with an opacity first."""
    with tempfile.TemporaryDirectory() as folder:
        shipped = detect_in_sample(sample(), Path(folder), silent)
        order = shipped.order()
        renderings = [Image.fromarray(shipped.draw(index)) for index in order]
    small = [np.asarray(each.resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for each in renderings]
    labels = [shipped.verdict(index) for index in order]
    return Image.fromarray(contact_sheet(small, columns=COLUMNS, labels=labels))


def main() -> None:
    """Write the picture."""
    digest = pipeline_digest(load_pipeline("default"))
    with atomic_write(PICTURE) as temporary:
        draw().save(temporary, quality=QUALITY, optimize=True, comment=digest)


if __name__ == "__main__":
    main()
