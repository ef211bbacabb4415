import hashlib
import json
import re
import shutil

import attrs
import numpy as np
import pytest

import lungpatch
from lungpatch.containers import LungMask
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import ConfigurationError, SavedPipelineError
from lungpatch.pipeline import shipped_pipelines
from lungpatch.pipeline.storage import FILES, SEGMENTER_FILE, check_destination, save_pipeline


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy.lungpatch")


def _rewrite(folder, name, change):
    """Change a file and its checksum, as somebody who means it would."""
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    sums = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in FILES]
    (folder / "SHA256SUMS").write_text("".join(sums))


def test_loaded_gives_bit_equal_results(fitted, saved, cohort):
    loaded = lungpatch.load_pipeline(saved)
    pairs = zip(
        fitted.detect_many(cohort / "opacity"), loaded.detect_many(cohort / "opacity"), strict=True
    )
    for before, after in pairs:
        np.testing.assert_array_equal(before.reconstruction.expected, after.reconstruction.expected)
        np.testing.assert_array_equal(before.anomaly_map.heatmap, after.anomaly_map.heatmap)
        assert before.decision == after.decision
    assert loaded.report_ == fitted.report_
    assert loaded.calibration_ == fitted.calibration_
    assert repr(loaded.model) == repr(fitted.model)


def test_saving_again_replaces(saved, tmp_path):
    pipeline = lungpatch.load_pipeline(saved)
    path = tmp_path / "p.lungpatch"
    pipeline.save(path)
    pipeline.save(path)
    assert sorted(p.name for p in path.iterdir()) == sorted([*FILES, "SHA256SUMS"])
    assert [p.name for p in tmp_path.iterdir()] == ["p.lungpatch"]


def test_saving_never_overwrites_something_else(fitted, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(SavedPipelineError, match="something else is there"):
        fitted.save(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["default", "paper"])
def test_shipped_pipelines_work_from_their_name(name):
    pipeline = lungpatch.load_pipeline(name)
    chest = phantom_chest(0, size=512, opacity="lobar")
    detection = pipeline.detect(chest.image)
    assert detection.status == "ok"
    assert np.isfinite(detection.anomaly_map.heatmap[detection.lungs.pixels]).mean() > 0.9
    assert pipeline.is_fitted


def test_shipped_pipelines_are_small_and_have_cards_and_no_paths_of_a_machine():
    folders = shipped_pipelines()
    weights = folders["default"].parent
    assert sum(f.stat().st_size for f in weights.rglob("*.safetensors")) <= 12e6
    for name, folder in folders.items():
        assert (weights / f"{name}.md").is_file()
        text = (folder / "pipeline.json").read_text()
        assert not re.search(r'"/\w', text)


def test_a_folder_of_a_shipped_name_can_be_meant(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(saved, "default")
    assert lungpatch.load_pipeline("./default").grid_size != 512


def test_missing(tmp_path):
    with pytest.raises(SavedPipelineError, match=r"nothing\.lungpatch: no saved pipeline"):
        lungpatch.load_pipeline(tmp_path / "nothing.lungpatch")


@pytest.mark.parametrize("name", FILES)
def test_tampered(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(SavedPipelineError, match=f"{name} was altered"):
        lungpatch.load_pipeline(copy)


@pytest.mark.parametrize("name", FILES)
def test_truncated(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:-5])
    with pytest.raises(SavedPipelineError, match=f"{name} was altered or cut short"):
        lungpatch.load_pipeline(copy)


@pytest.mark.parametrize("name", [*FILES, "SHA256SUMS"])
def test_a_file_is_missing(copy, name):
    (copy / name).unlink()
    with pytest.raises(SavedPipelineError, match=name):
        lungpatch.load_pipeline(copy)


def test_newer_format(copy):
    _rewrite(copy, "pipeline.json", lambda c: c.update(format_version=99))
    with pytest.raises(SavedPipelineError, match="format 99 .* upgrade"):
        lungpatch.load_pipeline(copy)


def test_plugin_not_installed(copy):
    def change(content):
        content["settings"]["scorer"]["name"] = "lungpatch-gms:gms/gms"
        content["plugins"]["scorer"] = {"plugin": "lungpatch-gms:gms", "version": "1.2"}

    _rewrite(copy, "pipeline.json", change)
    with pytest.raises(SavedPipelineError, match=r"install with pip: lungpatch-gms:gms 1\.2"):
        lungpatch.load_pipeline(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("settings"),
        lambda c: c.pop("calibration"),
        lambda c: c.pop("format_version"),
        lambda c: c["calibration"].update(threshold="high"),
        lambda c: c["fit"].update(surprise=1),
        lambda c: c["settings"]["model"].update(n_components=5),
        lambda c: c["settings"]["model"].update(n_components=-5),
        lambda c: c["settings"]["scorer"].update(name="no-such-scorer"),
        lambda c: c["settings"].update(scorer=[]),
    ],
)
def test_inconsistent_content(copy, change):
    _rewrite(copy, "pipeline.json", change)
    with pytest.raises(SavedPipelineError, match=r"copy\.lungpatch"):
        lungpatch.load_pipeline(copy)


def test_only_a_saved_pipeline_is_replaced(fitted, copy, tmp_path):
    check_destination(copy)
    check_destination(tmp_path / "new.lungpatch")
    assert save_pipeline(fitted, fitted.calibration_, fitted.report_, copy) == copy
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("three years")
    for refuse in (check_destination, fitted.save):
        with pytest.raises(SavedPipelineError, match="something else"):
            refuse(other)
    assert (other / "thesis.txt").read_text() == "three years"


@attrs.define(kw_only=True, eq=False)
class FittedLevel:
    """A segmenter with a state: below its level everything is lung."""

    level_: float = attrs.field(init=False, default=0.5)

    def segment(self, image):
        return LungMask(pixels=image.pixels < self.level_)

    def state(self):
        return {"level": np.array([self.level_])}

    def load_state(self, state):
        if set(state) != {"level"}:
            raise ConfigurationError("no level")
        self.level_ = float(state["level"][0])


@pytest.fixture
def with_state(fitted, tmp_path):
    """A saved pipeline whose segmenter has a state, and a registry that knows it."""

    class Plugin:
        @staticmethod
        @lungpatch.hookimpl
        def lungpatch_register(register):
            register.segmenter("level", FittedLevel, summary="Below a level.")

    registry = lungpatch.Registry(plugins=[Plugin()])
    segmenter = FittedLevel()
    segmenter.level_ = 0.25
    pipeline = attrs.evolve(fitted, segmenter=segmenter)
    pipeline._restore(fitted.calibration_, fitted.report_)
    path = pipeline.save(tmp_path / "level.lungpatch", registry=registry)
    return path, registry


def test_the_state_of_a_segmenter_is_saved_and_loaded(with_state):
    path, registry = with_state
    assert sorted(file.name for file in path.iterdir()) == sorted(
        [*FILES, SEGMENTER_FILE, "SHA256SUMS"]
    )
    assert lungpatch.load_pipeline(path, registry=registry).segmenter.level_ == 0.25


def test_an_altered_state_of_a_segmenter_is_refused(with_state):
    path, registry = with_state
    content = bytearray((path / SEGMENTER_FILE).read_bytes())
    content[-1] ^= 1
    (path / SEGMENTER_FILE).write_bytes(content)
    with pytest.raises(SavedPipelineError, match=f"{SEGMENTER_FILE} was altered"):
        lungpatch.load_pipeline(path, registry=registry)


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_missing_state_of_a_segmenter_is_refused(with_state, is_listed):
    path, registry = with_state
    (path / SEGMENTER_FILE).unlink()
    if not is_listed:
        sums = (path / "SHA256SUMS").read_text().splitlines(keepends=True)
        (path / "SHA256SUMS").write_text("".join(s for s in sums if SEGMENTER_FILE not in s))
    wrong = f"{SEGMENTER_FILE} cannot be read" if is_listed else "no level"
    with pytest.raises(SavedPipelineError, match=wrong):
        lungpatch.load_pipeline(path, registry=registry)


def test_a_state_that_is_not_listed_or_not_taken_is_refused(saved, with_state, tmp_path):
    path, _ = with_state
    copied = shutil.copytree(saved, tmp_path / "copied.lungpatch")
    shutil.copy(path / SEGMENTER_FILE, copied)
    with pytest.raises(SavedPipelineError, match=f"{SEGMENTER_FILE} was altered"):
        lungpatch.load_pipeline(copied)
    digest = hashlib.sha256((copied / SEGMENTER_FILE).read_bytes()).hexdigest()
    with (copied / "SHA256SUMS").open("a") as sums:
        sums.write(f"{digest}  {SEGMENTER_FILE}\n")
    with pytest.raises(SavedPipelineError, match=r"state of a segmenter, and ThresholdSegmenter"):
        lungpatch.load_pipeline(copied)


def test_others_can_read_what_is_saved(saved):
    modes = {(saved / name).stat().st_mode & 0o777 for name in FILES}
    assert len(modes) == 1
