"""How much of what readers marked the lungs cover, as the benchmark of the lung network says."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from skimage import io

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark_of_lungs(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("lung_network")


def test_regions_of_all_readers_are_read(benchmark_of_lungs, tmp_path):
    folder = tmp_path / "cxr"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        io.imsave(folder / name, np.zeros((64, 64), np.uint8), check_contrast=False)
    (folder / "metadata.csv").write_text("file,label\na.png,pneumonia\nb.png,pneumonia\n")
    head = "file,label,x,y,w,h\n"
    (folder / "boxes.csv").write_text(head + "a.png,Lung Opacity,0.5,0.25,0.25,0.5\n")
    (folder / "chestxdet_boxes.csv").write_text(
        head + "b.png,Effusion,0,0,1,1\nb.png,Consolidation,0,0,0.5,0.5\n"
    )
    square = [[0.5, 0.5], [1.0, 0.5], [1.0, 1.0], [0.5, 1.0]]
    outlines = {"b.png": [{"label": name, "polygon": square} for name in ("Mass", "Consolidation")]}
    (folder / "chestxdet_polygons.json").write_text(json.dumps(outlines))

    regions = benchmark_of_lungs.read_regions(tmp_path)
    first, second, outlined = ([*marked] for marked in regions.values())
    assert [region.path.name for region in first + second + outlined] == ["a.png", "b.png", "b.png"]
    assert first[0].pixels[128:384, 256:384].all()
    assert first[0].pixels.sum() == 256 * 128
    assert second[0].pixels.sum() == 256 * 256
    assert outlined[0].pixels.sum() == pytest.approx(256 * 256, rel=0.01)


def test_the_worst_regions_are_named(benchmark_of_lungs):
    regions = [benchmark_of_lungs.Region(Path(f"{name}.png"), np.zeros(1)) for name in "abc"]
    assert benchmark_of_lungs.worst([0.9, 0.25, 0.5], regions) == (
        "1; 0.25 (`b`), 0.50 (`c`), 0.90 (`a`)"
    )
