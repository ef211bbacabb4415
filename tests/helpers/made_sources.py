"""A tiny folder of all sources of truth, with marks that can be worked out by hand.

All marks are on a grid of quarters of the image. Patients: every image is of another one, but for
two images of COVID.
"""

import csv
import json

import numpy as np
from PIL import Image

SIDE = 64
FINDINGS = {
    "p0.png": ["Consolidation"],
    "p1.png": ["Consolidation", "Effusion"],
    "p2.png": ["Consolidation", "Effusion"],
    "p3.png": ["Effusion", "Nodule"],
    "p4.png": [],
    "p5.png": [],
    "p6.png": [],
}
"""What the second readers found."""


def square(row, column, side=0.25):
    """A square as x, y, w, h."""
    return column, row, side, side


def corners(row, column, side=0.25):
    """The same square as a polygon."""
    low, high = column, column + side
    return [[low, row], [high, row], [high, row + side], [low, row + side]]


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_table(path, head, rows):
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([head.split(","), *rows])


def marked(row, column, side=0.25):
    """The same square as a mask, uint8."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    start = np.array([row, column]) * SIDE
    stop = start + side * SIDE
    mask[int(start[0]) : int(stop[0]), int(start[1]) : int(stop[1])] = 255
    return mask


def write_sources(folder):
    rng = np.random.default_rng(0)

    def noise():
        return rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)

    cxr = folder / "cxr"
    metadata, boxes = [], []
    for number in range(3):
        save(cxr / "normal" / f"n{number}.png", noise())
        metadata.append((f"n{number}.png", "normal", f"1{number}", "PA", ""))
    for number in range(8):
        save(cxr / "pneumonia" / f"p{number}.png", noise())
        read = "Lung Opacity" if number < 4 else "Normal" if number < 7 else ""
        view = "AP" if number in (0, 1, 2, 4) else "PA"
        metadata.append((f"p{number}.png", "pneumonia", f"2{number}", view, read))
        if number < 4:
            boxes.append((f"p{number}.png", *square(0.25, 0.25)))
    write_table(cxr / "metadata.csv", "file,label,patient,view,rsna_class", metadata)
    write_table(cxr / "boxes.csv", "file,x,y,w,h", boxes)
    write_table(cxr / "normal_doubtful.csv", "file,degree,why", [("n1.png", "gross", "white")])
    films = [(name, len(found), "|".join(found)) for name, found in FINDINGS.items()]
    write_table(cxr / "chestxdet_films.csv", "file,n_findings,findings", films)
    outlines = {
        "p0.png": [("Consolidation", corners(0.25, 0.25))],
        "p1.png": [
            ("Consolidation", corners(0.25, 0.375)),
            ("Effusion", corners(0.75, 0.0)),
        ],
        "p2.png": [
            ("Consolidation", corners(0.75, 0.75)),
            ("Consolidation", corners(0.25, 0.25, 0.125)),
            ("Effusion", corners(0.75, 0.0)),
        ],
        "p3.png": [("Effusion", corners(0.75, 0.0)), ("Nodule", corners(0.0, 0.0))],
    }
    (cxr / "chestxdet_polygons.json").write_text(
        json.dumps(
            {
                name: [{"label": label, "polygon": points} for label, points in regions]
                for name, regions in outlines.items()
            }
        )
    )
    lungs = folder / "lungs"
    films = []
    for number in range(6):
        name = f"{number:03}.png"
        save(lungs / "image" / name, noise())
        if number < 3:
            save(lungs / "mask" / name, marked(0, 0, 1.0))
        if number < 5:
            save(lungs / "lesion" / name, marked(0.5, 0.0, 0.5))
        if number > 3:
            save(lungs / "device" / name, marked(0.5, 0.25, 0.5))
        patient = min(number, 4)  # the last two images are of one patient
        rated = ("", "") if number == 5 else (number, 6 - number)
        films.append((name, patient, "AP Supine" if number < 3 else "PA", *rated))
    write_table(lungs / "films.csv", "file,patient,view,geographic_0_8,opacity_0_6", films)
    return folder
