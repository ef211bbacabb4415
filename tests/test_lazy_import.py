"""`import lungpatch` must stay cheap: a new process tells what it brings in."""

import json
import subprocess
import sys

import pytest

import lungpatch
from lungpatch import datasets

HEAVY = ["torch", "skimage", "scipy", "matplotlib", "pydicom"]


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys; print('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import lungpatch",
        "import lungpatch; lungpatch.hookimpl",
        "from lungpatch.cli.commands import app; app(['plugins'], standalone_mode=False)",
        "from lungpatch.cli.commands import app; app(['plugins', '--json'], standalone_mode=False)",
    ],
)
def test_heavy_modules_stay_out(statement):
    assert not _modules_after(statement) & {*HEAVY, "numpy"}


def test_handing_out_the_images_of_an_archive_needs_no_heavy_module():
    statement = "from lungpatch.archive.processing import check_device; check_device('cpu')"
    assert not _modules_after(statement) & set(HEAVY)


def test_every_public_name_resolves():
    for name in lungpatch.__all__:
        assert getattr(lungpatch, name) is not None
    assert set(lungpatch.__all__) <= set(dir(lungpatch))


def test_every_public_dataset_resolves():
    for name in datasets.__all__:
        assert getattr(datasets, name) is not None


def test_unknown_name():
    with pytest.raises(AttributeError, match="detekt"):
        _ = lungpatch.detekt
