import subprocess
import sys
from pathlib import Path

import lungpatch
from lungpatch_txrv.extractor import DenseNetExtractor
from lungpatch_txrv.segmenter import PSPNetSegmenter

EXAMPLE = Path(__file__).parents[1] / "example.toml"


def test_listing_it_imports_nothing_heavy():
    code = "import sys, lungpatch_txrv; assert not {'torch', 'torchxrayvision'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_found_by_name_once_installed():
    pipeline = lungpatch.load_config(EXAMPLE)
    assert isinstance(pipeline.segmenter, PSPNetSegmenter)
    assert isinstance(pipeline.model.extractor, DenseNetExtractor)
