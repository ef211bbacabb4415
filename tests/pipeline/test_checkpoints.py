"""A fit that was killed goes on where it was, with the result of an undisturbed one."""

import logging
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import lungpatch
from lungpatch.errors import SavedPipelineError
from lungpatch.networks import checkpoints
from lungpatch.pipeline import build_pipeline

NETWORKS = {
    "a network with early stopping": {
        "name": "autoencoder", "patch_size": 16, "base_channels": 2, "epochs": 4,
        "device": "cpu",
    },
    "an ensemble of a head and two networks on painted lesions": {
        "name": "ensemble",
        "members": [
            {
                "model": {
                    "name": "lesion-head", "patch_size": 32, "passes": 1,
                    "extractor": {"name": "statistics", "grid": 8},
                },
                "scorer": {"name": "feature", "difference": "excess"},
            },
            *(
                {
                    "model": {
                        "name": "synthetic-lesion", "patch_size": 32, "channels": [2] * 5,
                        "epochs": 3, "device": "cpu",
                    },
                    "scorer": {"name": "feature", "difference": "excess"},
                }
                for _ in range(2)
            ),
        ],
    },
}  # fmt: skip


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def tables(fast_tables, request, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    fast_tables["model"] = request.param
    if request.param["name"] == "ensemble":
        for name in ("fit_sampler", "sampler"):
            fast_tables[name] = {"name": "lung-crop", "patch_size": 32}
        fast_tables["scorer"] = {"name": "feature", "difference": "excess"}
    return fast_tables


class KilledError(Exception):
    """Stands for a process that ends at once."""


def _killed_after(epochs):
    count = 0

    def progress(stage, done, total, metrics):
        nonlocal count
        count += stage == "train" and done > 0
        if count > epochs:
            raise KilledError

    return progress


def _assert_same(one, other):
    assert other.calibration_ == one.calibration_
    for name, array in one.model.state().items():
        np.testing.assert_array_equal(other.model.state()[name], array)
    ours, theirs = one.report_.history, other.report_.history
    assert ours.epochs == theirs.epochs
    assert (ours.best_epoch, ours.stopped) == (theirs.best_epoch, theirs.stopped)


def test_a_killed_fit_goes_on(tables, cohort, tmp_path, caplog):
    expected = build_pipeline(tables, origin="test").fit(cohort / "normal")
    folder = tmp_path / "mine.checkpoint"
    for epochs in (0, 1):
        with pytest.raises(KilledError):
            build_pipeline(tables, origin="test").fit(
                cohort / "normal", progress=_killed_after(epochs), checkpoint=folder
            )
    assert any(folder.glob("training-*.safetensors"))
    with caplog.at_level(logging.WARNING):
        again = build_pipeline(tables, origin="test").fit(cohort / "normal", checkpoint=folder)
    assert f"going on from the checkpoints in {folder}" in caplog.text
    _assert_same(expected, again)
    assert not folder.exists()


def test_checkpoints_change_nothing(tables, cohort, tmp_path):
    expected = build_pipeline(tables, origin="test").fit(cohort / "normal")
    kept = build_pipeline(tables, origin="test").fit(cohort / "normal", checkpoint=tmp_path / "c")
    _assert_same(expected, kept)
    assert not (tmp_path / "c").exists()


def test_checkpoints_of_another_fit_are_not_used(tables, cohort, tmp_path, caplog):
    folder = tmp_path / "c"
    with pytest.raises(KilledError):
        build_pipeline(tables, origin="test").fit(
            cohort / "normal", progress=_killed_after(1), checkpoint=folder
        )
    tables["pipeline"]["seed"] = 7
    expected = build_pipeline(tables, origin="test").fit(cohort / "normal")
    other = build_pipeline(tables, origin="test").fit(cohort / "normal", checkpoint=folder)
    assert "going on" not in caplog.text
    _assert_same(expected, other)


def test_a_damaged_checkpoint_is_named(tables, cohort, tmp_path):
    folder = tmp_path / "c"
    with pytest.raises(KilledError):
        build_pipeline(tables, origin="test").fit(
            cohort / "normal", progress=_killed_after(1), checkpoint=folder
        )
    file = sorted(folder.glob("training-*"))[0]
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(SavedPipelineError, match=rf"{file.name}: not a readable checkpoint"):
        build_pipeline(tables, origin="test").fit(cohort / "normal", checkpoint=folder)


def test_a_process_that_is_killed(fast_tables, cohort, tmp_path):
    """SIGKILL right after an epoch was reported; the second process ends as if undisturbed."""
    fast_tables["model"] = NETWORKS["a network with early stopping"]
    code = textwrap.dedent("""
        import os, signal, sys
        import torch
        from lungpatch.networks import checkpoints
        from lungpatch.pipeline import build_pipeline
        torch.set_num_threads(1)
        checkpoints.SECONDS_BETWEEN = 0.0
        tables, images, folder, out, kill = eval(sys.stdin.read())
        def progress(stage, done, total, metrics):
            if kill and stage == "train" and done == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        pipeline = build_pipeline(tables, origin="test")
        pipeline.fit(images, progress=progress, checkpoint=folder).save(out)
    """)
    folder, out = tmp_path / "c", tmp_path / "p.lungpatch"
    for kill in (True, False):
        arguments = repr((fast_tables, str(cohort / "normal"), str(folder), str(out), kill))
        done = subprocess.run(
            [sys.executable, "-c", code], input=arguments, text=True, env=os.environ, check=False
        )
        assert done.returncode == (-signal.SIGKILL if kill else 0)
    expected = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
    _assert_same(expected, lungpatch.load_pipeline(out))
