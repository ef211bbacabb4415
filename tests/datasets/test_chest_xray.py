import os
from pathlib import Path

import pytest

from lungpatch.datasets.chest_xray import load_chest_xray
from lungpatch.errors import ConfigurationError, MissingInputError

FILES = (
    "train/NORMAL/IM-0115-0001.jpeg",
    "train/NORMAL/NORMAL2-IM-0383-0001.jpeg",
    "train/PNEUMONIA/person123_bacteria_4.jpeg",
    "train/PNEUMONIA/person123_virus_7.jpeg",
    "val/NORMAL/NORMAL2-IM-1427-0001.jpeg",
    "val/PNEUMONIA/person1946_bacteria_4874.jpeg",
    "test/NORMAL/IM-0001-0001-0002.jpeg",
    "test/PNEUMONIA/person1_virus_11.jpeg",
)


def make(root, files=FILES):
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def check(images):
    assert len(images) == 8
    table = {
        image_id: (label, split, patient, cause)
        for image_id, label, split, patient, cause in zip(
            images.image_ids.tolist(),
            images.labels.tolist(),
            images.splits.tolist(),
            images.patients.tolist(),
            images.columns["cause"].tolist(),
            strict=True,
        )
    }
    assert table["IM-0115-0001"] == ("normal", "training", "IM-0115", "")
    assert table["NORMAL2-IM-1427-0001"] == ("normal", "validation", "IM-1427", "")
    assert table["IM-0001-0001-0002"] == ("normal", "test", "IM-0001", "")
    assert table["person123_bacteria_4"] == ("pneumonia", "training", "person123", "bacteria")
    assert table["person123_virus_7"] == ("pneumonia", "training", "person123", "virus")
    assert len(set(images.patients.tolist())) == 7


def test_kaggle_layout(tmp_path):
    check(load_chest_xray(make(tmp_path)))


@pytest.mark.parametrize("inner", ["chest_xray", "chest_xray/chest_xray"])
def test_nested_folders(tmp_path, inner):
    make(tmp_path / inner)
    check(load_chest_xray(tmp_path))
    check(load_chest_xray(str(tmp_path / "chest_xray")))


def test_doubled_folder_is_not_counted_twice(tmp_path):
    make(tmp_path)
    make(tmp_path / "chest_xray")
    check(load_chest_xray(tmp_path))


def test_other_spellings(tmp_path):
    files = [name.lower().replace("val/", "Validation/").replace("im-", "IM-") for name in FILES]
    images = load_chest_xray(make(tmp_path, [name.replace("train/", "Train/") for name in files]))
    assert sorted(images.splits.tolist()) == ["test"] * 2 + ["training"] * 4 + ["validation"] * 2
    assert (images.patients != "").all()


def test_litter_is_ignored(tmp_path):
    make(tmp_path / "chest_xray")
    make(tmp_path / "__MACOSX" / "chest_xray")
    make(tmp_path / "chest_xray" / "__MACOSX" / "train")
    litter = ("train/NORMAL/._IM-0115-0001.jpeg", "train/NORMAL/.DS_Store", "train/.DS_Store")
    make(tmp_path / "chest_xray", litter)
    make(tmp_path / "chest_xray" / "train" / "__MACOSX", ["NORMAL/IM-1-1.jpeg"])
    check(load_chest_xray(tmp_path))


def test_mendeley_names_without_validation(tmp_path):
    make(
        tmp_path,
        [
            "train/NORMAL/NORMAL-1003233-0001.jpeg",
            "train/PNEUMONIA/BACTERIA-1008087-0001.jpeg",
            "test/PNEUMONIA/VIRUS-1008087-0002.jpeg",
        ],
    )
    images = load_chest_xray(tmp_path)
    assert dict(zip(images.image_ids.tolist(), images.patients.tolist(), strict=True)) == {
        "NORMAL-1003233-0001": "1003233",
        "BACTERIA-1008087-0001": "1008087",
        "VIRUS-1008087-0002": "1008087",
    }
    assert set(images.splits.tolist()) == {"training", "test"}


def test_classes_without_splits_and_unknown_names(tmp_path):
    images = load_chest_xray(make(tmp_path, ["normal/mine.png", "pneumonia/person1_virus_2.png"]))
    assert images.labels.tolist() == ["normal", "pneumonia"]
    assert images.splits.tolist() == ["", ""]
    assert images.patients.tolist() == ["", "person1"]
    with pytest.raises(ConfigurationError, match="mine"):
        images.split_by_patient({"a": 0.5, "b": 0.5}, seed=0)


def test_errors_name_the_folder(tmp_path):
    with pytest.raises(MissingInputError, match="nowhere: no such folder"):
        load_chest_xray(tmp_path / "nowhere")
    (tmp_path / "empty" / "train").mkdir(parents=True)
    with pytest.raises(MissingInputError, match="empty: holds no folders"):
        load_chest_xray(tmp_path / "empty")
    (tmp_path / "other").mkdir()
    with pytest.raises(MissingInputError, match="other: holds no folders"):
        load_chest_xray(tmp_path / "other")
    make(tmp_path / "covid", ["train/COVID/a.png"])
    with pytest.raises(ConfigurationError, match="COVID: is neither NORMAL nor PNEUMONIA"):
        load_chest_xray(tmp_path / "covid")


def test_images_of_the_paper():
    root = Path(__file__).parents[2] / ".." / "shared" / "data"
    root = Path(os.environ.get("LUNGPATCH_DATA", root)) / "kermany"
    if not root.exists():
        pytest.skip("needs the folder kermany in LUNGPATCH_DATA")
    images = load_chest_xray(root)
    assert set(images.labels.tolist()) == {"normal", "pneumonia"}
    assert (images.patients != "").all()
    assert images.read(0).shape == (256, 256)
