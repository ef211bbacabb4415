"""Whatever a saved pipeline holds, loading it gives a pipeline or an error of ours."""

import copy
import hashlib
import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lungpatch
from lungpatch.pipeline.storage import FILES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)


def _paths(node, path=()):
    """Every place in nested dicts and lists."""
    yield path
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in items:
        yield from _paths(value, (*path, key))


def _sign(folder):
    sums = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in FILES]
    (folder / "SHA256SUMS").write_text("".join(sums))


def _loads_or_complains(folder):
    """Return the pipeline, or None where it was refused with an error that names the folder."""
    try:
        pipeline = lungpatch.load_pipeline(folder)
    except lungpatch.LungpatchError as error:
        assert folder.name in str(error)
        return None
    # What loads is whole: it can be used, and its thresholds follow from its scores.
    assert pipeline.is_fitted
    calibration = pipeline.calibration_
    assert pipeline.thresholder.threshold_ == pytest.approx(calibration.threshold, rel=1e-6)
    assert pipeline.report_.images.keys() == {"training", "validation", "calibration"}
    return pipeline


@pytest.fixture(scope="module")
def folder(saved, tmp_path_factory):
    return shutil.copytree(saved, tmp_path_factory.mktemp("fuzz") / "fuzzed.lungpatch")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_changed_settings(folder, saved, data):
    shutil.copytree(saved, folder, dirs_exist_ok=True)
    name = data.draw(st.sampled_from(["pipeline.json", "history.json"]))
    content = json.loads((folder / name).read_text())
    path = data.draw(st.sampled_from(list(_paths(content))))
    value = data.draw(JSON)
    if path:
        node = content = copy.deepcopy(content)
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
    else:
        content = value
    (folder / name).write_text(json.dumps(content))
    _sign(folder)
    _loads_or_complains(folder)


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from([*FILES, "SHA256SUMS"]), data=st.data(), signed=st.booleans())
def test_changed_bytes(folder, saved, name, data, signed):
    shutil.copytree(saved, folder, dirs_exist_ok=True)
    old = (folder / name).read_bytes()
    start = data.draw(st.integers(0, len(old) - 1))
    new = data.draw(st.binary(max_size=6))
    altered = old[:start] + new + old[start + len(new) :]
    (folder / name).write_bytes(altered)
    signed = signed and name != "SHA256SUMS"
    if signed:
        _sign(folder)
    pipeline = _loads_or_complains(folder)
    if altered == old:
        assert pipeline is not None
    elif not signed and name != "SHA256SUMS":
        assert pipeline is None
