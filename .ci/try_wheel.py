"""Build the package and try it where nothing else is installed.

    python .ci/try_wheel.py                         # every Python from 3.11 to 3.14 that is here
    python .ci/try_wheel.py 3.11 --torch 2.13.0     # one Python, one PyTorch

The source distribution and the wheel are written to dist/, and checked by twine and
check-wheel-contents. Then, for each Python, uv installs the wheel into two new environments: with
the oldest version of each dependency that pyproject.toml allows and that has a wheel for this
Python, and with the newest. In each, the shipped detector runs on the radiographs that come with
the package. The scores of all environments are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from email import message_from_string
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}
SHOWN = ("torch", "numpy", "scipy", "scikit-image", "pillow", "pydicom", "typer")
# Networks on other versions of PyTorch sum in another order; thresholds have steps of hundredths.
TOLERANCE = 1e-3

FOLDER_OF_IMAGES = """
import lungpatch.datasets
print(lungpatch.datasets.sample().images[0].parent)
"""


def main() -> int:
    """Return the exit status: 1 if an environment failed, or its scores differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="*", help="versions, such as 3.11")
    parser.add_argument("--torch", help="this version of PyTorch in all environments")
    arguments = parser.parse_args()
    wheel = build()
    asked = arguments.pythons or PYTHONS
    pythons = [version for version in asked if find_python(version)]
    for version in asked:
        if version not in pythons:
            print(f"Python {version}: not here")
    if not pythons:
        print("no Python to try")
        return 1
    scores, failed = {}, False
    for version in pythons:
        for name, resolution in RESOLUTIONS.items():
            label = f"Python {version}, {name}"
            try:
                scores[label] = try_in_new_environment(wheel, version, resolution, arguments.torch)
            except subprocess.CalledProcessError as error:
                failed = True
                print(f"{label}: failed: {error}\n{error.stdout}\n{error.stderr}", flush=True)
                continue
            reference = next(iter(scores.values()))
            largest = max(abs(mine - reference[image]) for image, mine in scores[label].items())
            failed |= largest > TOLERANCE
            print(f"{label}: scores differ from the first by at most {largest:.1e}", flush=True)
    return int(failed)


def build() -> Path:
    """Build both distributions, check them, and return the wheel."""
    for old in DIST.glob("lungpatch-*"):
        old.unlink()
    run(*UV, "build", "--out-dir", DIST, ROOT)
    (wheel,) = DIST.glob("lungpatch-*.whl")
    (source,) = DIST.glob("lungpatch-*.tar.gz")
    for tool in (("twine", "check", "--strict", wheel, source), ("check_wheel_contents", wheel)):
        print(run(sys.executable, "-m", *tool).stdout, end="")
    relative = re.findall(r"\]\((?!https?:)[^)]+\)", str(metadata_of(wheel).get_payload()))
    if relative:
        raise SystemExit(f"{wheel.name}: its description has links to files: {relative}")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
    return wheel


def metadata_of(wheel: Path) -> Message:
    """Return what a package index reads; the body is the page that it shows."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def dependencies_of(wheel: Path) -> list[str]:
    """Return what the wheel needs, without its extras."""
    return [
        line for line in metadata_of(wheel).get_all("Requires-Dist", []) if "extra ==" not in line
    ]


def find_python(version: str) -> bool:
    """Return whether a Python is on this machine."""
    found = run(*UV, "python", "find", "--no-python-downloads", version, check=False)
    return found.returncode == 0


def try_in_new_environment(
    wheel: Path, version: str, resolution: str, torch: str | None
) -> dict[str, float]:
    """Install the wheel, run its commands, and return the scores by image."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = folder / "environment"
        run(*UV, "venv", "--no-python-downloads", "--python", version, environment)
        programs = environment / ("Scripts" if os.name == "nt" else "bin")
        python, lungpatch = programs / "python", programs / "lungpatch"
        pinned = [] if torch is None else [f"torch=={torch}"]
        install = ("pip", "install", "--python", python, "--only-binary", ":all:")
        # What the wheel needs is named, too: only what is named is installed in its oldest version.
        needed = dependencies_of(wheel)
        run(*UV, *install, "--resolution", resolution, wheel, *needed, *pinned)
        listed = json.loads(run(*UV, "pip", "list", "--python", python, "--format", "json").stdout)
        versions = {each["name"]: each["version"] for each in listed}
        shown = ", ".join(f"{package} {versions[package]}" for package in SHOWN)
        print(f"Python {version}, {resolution}: {shown}", flush=True)

        said = run(lungpatch, "--version", cwd=folder).stdout.split()
        if said != ["lungpatch", versions["lungpatch"]]:
            raise SystemExit(f"lungpatch --version says {said}, not {versions['lungpatch']}")
        run(lungpatch, "-h", cwd=folder)
        images = run(python, "-c", FOLDER_OF_IMAGES, cwd=folder).stdout.strip()
        run(lungpatch, "detect", images, "--device", "cpu", "--out", "found", cwd=folder)
        lines = (folder / "found" / "detections.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        return {Path(record["image"]).name: record["pred_score"] for record in records}


def run(
    *command: str | Path, cwd: Path = ROOT, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it printed."""
    words = [str(word) for word in command]
    # Nothing of this checkout may be imported in place of what is installed.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(words, cwd=cwd, env=clean, check=check, capture_output=True, text=True)


UV = (sys.executable, "-m", "uv")

if __name__ == "__main__":
    sys.exit(main())
