import pytest

from lungpatch.cli.optional_value import with_dicom_kinds


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        (["a", "--dicom"], ["a", "--dicom", "sc,sr"]),
        (["--dicom", "--out", "f"], ["--dicom", "sc,sr", "--out", "f"]),
        (["--dicom", "images/a.dcm"], ["--dicom", "sc,sr", "images/a.dcm"]),
        (["--dicom", "seg"], ["--dicom", "seg"]),
        (["--dicom", "sr, pm", "a"], ["--dicom", "sr, pm", "a"]),
        (["--dicom=pr", "a"], ["--dicom=pr", "a"]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_kinds_are_filled_in_where_none_follow(given, filled):
    assert with_dicom_kinds(given) == filled


def test_a_command_with_dicom_at_its_end(run, saved, cohort, tmp_path):
    image = sorted((cohort / "normal").iterdir())[0]
    arguments = ("detect", image, "--pipeline", saved, "--out", tmp_path / "found", "--dicom")
    status, _, err = run(*arguments)
    assert status == 2
    assert "none of the images is DICOM" in err
