import numpy as np
import pytest

import lungpatch
from lungpatch.datasets import phantom_chest
from lungpatch.errors import ConfigurationError
from lungpatch.testing import parametrize_checks
from lungpatch_txrv.extractor import DenseNetExtractor
from lungpatch_txrv.segmenter import PSPNetSegmenter

pytest.importorskip("torchxrayvision")
RANDOM = "its weights are random, so it finds lung anywhere"


@parametrize_checks(
    "segmenter",
    PSPNetSegmenter(weights="untrained", side=48),
    expected_failures={"lungless_image_gives_empty_mask": RANDOM},
)
def test_contract_of_the_segmenter(check):
    check()


@parametrize_checks("extractor", DenseNetExtractor(weights="untrained", block=1))
def test_contract_of_the_extractor(check):
    check()


def test_the_networks_are_those_of_the_library():
    from lungpatch_txrv.networks import densenet, pspnet

    network, lungs = pspnet("untrained")
    # The encoder of PSPNet and a DenseNet-121 without its classifier.
    assert sum(p.numel() for p in network.parameters()) > 40e6
    assert lungs == (4, 5)
    assert sum(p.numel() for p in densenet("untrained").parameters()) == pytest.approx(
        6.9e6, rel=0.05
    )


@pytest.mark.parametrize(("block", "shape"), [(1, (256, 16)), (2, (512, 8)), (3, (1024, 4))])
def test_resolution_of_a_block(block, shape):
    image = phantom_chest(0, size=64).image
    patches = lungpatch.PatchBatch(
        pixels=image.pixels[None],
        corners=np.zeros((1, 2), np.int64),
        lung=np.ones((1, 64, 64), bool),
        image_shape=(64, 64),
        image_id="a",
    )
    found = DenseNetExtractor(weights="untrained", block=block).extract(patches)
    assert found.shape == (1, shape[0], shape[1], shape[1])


def test_the_mask_is_the_higher_of_the_two_lung_maps():
    image = phantom_chest(0, size=64).image
    settings = {"weights": "untrained", "side": 64}
    everywhere = PSPNetSegmenter(probability=1e-9, **settings).segment(image)
    nowhere = PSPNetSegmenter(probability=1 - 1e-9, **settings).segment(image)
    assert everywhere.fraction == 1.0
    assert nowhere.fraction == 0.0


def test_small_patches_are_refused():
    small = lungpatch.PatchBatch(
        pixels=np.zeros((1, 16, 16), np.float32),
        corners=np.zeros((1, 2), np.int64),
        lung=np.ones((1, 16, 16), bool),
        image_shape=(16, 16),
        image_id="a",
    )
    with pytest.raises(ConfigurationError, match="at least 32"):
        DenseNetExtractor(weights="untrained").extract(small)
