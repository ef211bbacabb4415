"""The command export."""

import sys

import numpy as np
import pytest

import lungpatch

pytest.importorskip("onnxscript", reason="onnxscript is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def test_a_folder_is_a_pipeline_for_detect(run, saved, cohort, tmp_path):
    out = tmp_path / "fast.lungpatch"
    status, printed, _ = run("export", saved, "--out", out)
    assert (status, printed) == (0, f"Exported to {out}.\n")
    image = cohort / "opacity" / "opacity-000.png"
    scores = []
    for number, pipeline in enumerate((saved, out)):
        found = tmp_path / f"found-{number}"
        assert run("detect", image, "--pipeline", pipeline, "--out", found)[0] == 0
        scores.append(next(iter(lungpatch.load_detections(found))).record["pred_score"])
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)


def test_a_file_is_a_network(run, saved, tmp_path):
    out = tmp_path / "fast.onnx"
    assert run("export", saved, "--out", out, "--format", "onnx")[0] == 0
    session = onnxruntime.InferenceSession(out)
    (maps,) = session.run(["map"], {"pixels": np.zeros((2, 16, 16), np.float32)})
    assert maps.shape == (2, 16, 16)


def test_another_format_is_refused(run, saved, tmp_path):
    status, _, error = run("export", saved, "--out", tmp_path / "x.onnx", "--format", "tflite")
    assert status == 2
    assert "onnx" in error


def test_a_missing_package_is_told_in_one_line(run, saved, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    status, _, error = run("export", saved, "--out", tmp_path / "fast.onnx")
    assert status == 2
    assert 'needs onnx, which is not installed: pip install "lungpatch[onnx]"' in error


def test_detect_tells_a_missing_runtime_before_any_image(run, saved, cohort, tmp_path, monkeypatch):
    out = tmp_path / "fast.lungpatch"
    run("export", saved, "--out", out)
    blocked = tmp_path / "blocked" / "sitecustomize.py"
    blocked.parent.mkdir()
    blocked.write_text("import sys\nsys.modules['onnxruntime'] = None\n")
    monkeypatch.syspath_prepend(blocked.parent)  # where other processes find modules, too
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for workers in (1, 2):
        found = tmp_path / f"found-{workers}"
        status, _, error = run(
            *("detect", cohort / "opacity", "--pipeline", out, "--out", found),
            *("--workers", workers),
        )
        assert status == 2
        assert 'needs onnxruntime, which is not installed: pip install "lungpatch[onnx]"' in error
        assert not list(found.glob("*.overlay.jpg"))
