import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungpatch.datasets import read_patients
from lungpatch.datasets.splits import Split, every_second_patient, load_split, pixels_digest
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.io import find_images

CXR = Path(__file__).parents[3] / "shared" / "data" / "cxr"


def _split():
    return Split(name="s", training={"b.png": "2", "a.png": "1"}, held={"c.png": "3"},
                 pixels_sha256="0")  # fmt: skip


def test_a_manifest_comes_back_as_it_was(tmp_path):
    _split().save(tmp_path / "s.json")
    assert load_split(tmp_path / "s.json") == _split()


def test_the_digest_tells_splits_apart_but_not_the_order_of_files():
    same = Split(name="t", training={"a.png": "1", "b.png": "2"}, held={"c.png": "3"},
                 pixels_sha256="")  # fmt: skip
    other = Split(name="s", training={"a.png": "1"}, held={"b.png": "2", "c.png": "3"},
                  pixels_sha256="")  # fmt: skip
    assert _split().sha256 == same.sha256 != other.sha256


def test_an_altered_manifest_is_refused(tmp_path):
    path = tmp_path / "s.json"
    _split().save(path)
    fields = json.loads(path.read_text())
    fields["held"]["d.png"] = "4"
    path.write_text(json.dumps(fields))
    with pytest.raises(ConfigurationError, match="digest does not fit"):
        load_split(path)


@pytest.mark.parametrize("text", ["no json", "[]", '{"sha256": "", "name": "x"}'])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(ConfigurationError, match="not a manifest"):
        load_split(tmp_path / "s.json")


def test_a_missing_split_names_what_there_is():
    with pytest.raises(MissingInputError, match="give cxr-half"):
        load_split("nowhere")


def test_a_patient_cannot_be_on_both_sides():
    with pytest.raises(ConfigurationError, match="patient 1 is in both parts"):
        Split(name="s", training={"a.png": "1"}, held={"b.png": "1"}, pixels_sha256="")


def test_a_patient_is_the_same_in_every_spelling():
    with pytest.raises(ConfigurationError, match="patient 1 is in both parts"):
        Split(name="s", training={"a.png": "0001"}, held={"b.png": "1.0"}, pixels_sha256="")
    split = Split(
        name="s", training={"a.png": "0001"}, held={"b.dcm": "2", "1.2.3": 4}, pixels_sha256=""
    )
    assert split.patients("training") == {"1"}
    assert split.patients("held") == {"2", "4"}
    assert split.patient_by_image == {"a": "1", "b": "2", "1.2.3": "4"}


def test_every_second_patient_starts_with_the_first_in_sorted_order():
    images = [Path(f"{name}.png") for name in "abcde"]
    owners = dict(zip("abcde", ["2", "10", "3", "02", "1"], strict=True))
    patients = {f"{name}.png": owner for name, owner in owners.items()}
    # Sorted as text: 1, 10, 2, 3.
    chosen = every_second_patient(images, patients)
    assert [image.stem for image in chosen] == ["a", "d", "e"]


def test_every_second_patient_needs_all_patients():
    with pytest.raises(ConfigurationError, match=r"b\.png: patient unknown"):
        every_second_patient([Path("a.png"), Path("b.png")], {"a.png": "1"})


def test_the_digest_of_pixels_ignores_the_file_format(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    digests = []
    for number, level in enumerate((0, 9)):
        path = tmp_path / str(number) / "a.png"
        path.parent.mkdir()
        Image.fromarray(grey).save(path, compress_level=level)
        digests.append(pixels_digest([path]))
    grey[0, 0] ^= 1
    Image.fromarray(grey).save(path)
    assert digests[0] == digests[1] != pixels_digest([path])


@pytest.mark.skipif(not CXR.is_dir(), reason="the images of cxr-half are not at hand")
def test_the_shipped_split_is_made_by_its_rule_of_these_images():
    split = load_split("cxr-half")
    images, patients = find_images(CXR / "normal"), read_patients(CXR / "metadata.csv")
    training = every_second_patient(images, patients)
    assert {image.name for image in training} == split.training.keys()
    assert {image.name for image in images} == split.training.keys() | split.held.keys()
    assert pixels_digest(images) == split.pixels_sha256
