"""What the tests of the command line share."""

import sys

import pytest

from lungpatch import cli

CONFIG = """
[pipeline]
grid_size = 128
[segmenter]
name = "threshold"
[fit_sampler]
name = "grid"
patch_size = 16
stride = 12
[sampler]
name = "grid"
patch_size = 16
stride = 12
min_lung_fraction = 0.5
[model]
name = "pca"
patch_size = 16
n_components = 8
[scorer]
name = "sad"
[thresholder]
name = "quantile"
q = 0.9
"""


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; return exit status, standard output and error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lungpatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        done = capsys.readouterr()
        return caught.value.code or 0, done.out, done.err

    return call


@pytest.fixture
def config(tmp_path):
    """A TOML file of a pipeline that fits in a second."""
    path = tmp_path / "fast.toml"
    path.write_text(CONFIG)
    return path
