"""What others' validators say of DICOM objects, object by object, as a table.

    python benchmarks/dicom_objects.py                          # made images
    python benchmarks/dicom_objects.py chest.dcm more/          # and images of your own

Made are a radiograph of 90 x 71 pixels in each of the eight orientations, inverted and not, with
square and with oblong pixels. In all images the same two regions are found, so that no pipeline is
needed. `dciodvfy -new` (dicom3tools) checks every object, `dsrdump` (DCMTK) the reports, and
`dcm2pnm` (DCMTK) the overlays and both frames of the masks. A warning is counted as the source's if
its own header causes it (an empty StudyID, say), as the coding scheme's if it is that dciodvfy does
not know `99LUNGPATCH`, and else as ours.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from lungpatch.archive.inputs import expand
from lungpatch.errors import InvalidImageError
from lungpatch.reports.dicom import KINDS, write_dicom_objects

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from made_dicom_results import PIPELINE, STORED, detection_in, save_radiograph

_OF_SOURCE = ("DICOMDIR", "Retired Person Name", "BodyPartExamined", "Laterality")


def made_images(folder: Path) -> list[Path]:
    """Write the made radiographs."""
    cases = itertools.product(STORED, ("MONOCHROME1", "MONOCHROME2"), ([0.2, 0.2], [0.2, 0.1]))
    return [
        save_radiograph(
            folder / f"{number:02}.dcm",
            orientation=orientation,
            photometric=photometric,
            PixelSpacing=spacing,
        )
        for number, (orientation, photometric, spacing) in enumerate(cases)
    ]


def said_by(*command: object) -> list[str]:
    """Return what a validator says, line by line; a failure is a line, too."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, errors="replace")
    failed = [f"Error - exit status {done.returncode}"] if done.returncode > 1 else []
    return [*f"{done.stdout}\n{done.stderr}".splitlines(), *failed]


def check(kind: str, file: Path, counts: Counter[str]) -> None:
    """Count what validators say of an object."""
    for line in said_by("dciodvfy", "-new", file):
        if line.startswith("Error"):
            counts["dciodvfy errors"] += 1
            print(f"{file.name}: {line}", file=sys.stderr)
        elif line.startswith("Warning"):
            of_source = any(words in line for words in _OF_SOURCE)
            whose = "source's" if of_source else "scheme's" if "99LUNGPATCH" in line else "ours"
            counts[f"warnings, {whose}"] += 1
            if whose == "ours":
                counts[line.partition("> - ")[2]] += 1
    others = {
        "sr": [("dsrdump", file)],
        "sc": [("dcm2pnm", "-q", file, file.with_suffix(".ppm"))],
        "seg": [("dcm2pnm", "-q", "+F", n, file, file.with_suffix(".pgm")) for n in (1, 2)],
    }
    for command in others.get(kind, ()):
        counts["DCMTK errors"] += sum(
            line.startswith(("E:", "F:", "Error")) for line in said_by(*command)
        )
        counts["DCMTK runs"] += 1
    counts["objects"] += 1


def main() -> None:
    """Write, check, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", type=Path)
    given = parser.parse_args().images
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = made_images(folder) + (expand(given)[0] if given else [])
        for number, image in enumerate(images):
            try:
                files = write_dicom_objects(
                    detection_in(image), image, folder / str(number), pipeline=PIPELINE, kinds=KINDS
                )
            except InvalidImageError as error:
                print(f"left out: {error}", file=sys.stderr)
                continue
            for kind, file in files.items():
                check(kind, file, counts[kind])
    print("| object | checked | `dciodvfy` errors | warnings: ours, codes', source's | DCMTK |")
    print("|---|---|---|---|---|")
    for kind, found in counts.items():
        warnings = ", ".join(
            str(found[f"warnings, {whose}"]) for whose in ("ours", "scheme's", "source's")
        )
        dcmtk = f"{found['DCMTK errors']} errors in {found['DCMTK runs']} runs"
        dcmtk = dcmtk if found["DCMTK runs"] else "-"
        errors = found["dciodvfy errors"]
        print(f"| `{kind}` | {found['objects']} | {errors} | {warnings} | {dcmtk} |")
    for kind, found in counts.items():
        for words, count in found.items():
            if words[:1].isupper() and not words.startswith("DCMTK"):
                print(f"{kind}: {count} x {words}")


if __name__ == "__main__":
    main()
