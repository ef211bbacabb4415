"""What networks compute in: it reaches all of them, and changes neither scores nor decisions."""

import numpy as np
import pytest
import torch

import lungpatch
from lungpatch._utils.component import set_execution
from lungpatch.archive.processing import load_to_run
from lungpatch.datasets import sample
from lungpatch.features import LungEncoder
from lungpatch.networks import torch_adapter
from lungpatch.pipeline import pipeline_digest
from lungpatch.testing.samples import phantom_patches

MOST_DIFFERENCE = 0.02

is_made_for_it = any(map(torch.cpu.get_capabilities().get, ("amx_bf16", "avx512_bf16")))
needs_bfloat16 = pytest.mark.skipif(
    not is_made_for_it, reason="this processor is not made for bfloat16"
)


def test_it_reaches_all_members_of_an_ensemble_and_changes_no_fact():
    pipeline = lungpatch.load_pipeline("default")
    set_execution(pipeline, precision="bfloat16")
    set_to = {k: v for k, v in pipeline.get_params().items() if k.endswith("precision")}
    assert set(set_to.values()) == {"bfloat16"}
    assert len(set_to) == len(pipeline.model.members)
    assert pipeline.is_fitted
    assert pipeline_digest(pipeline) == pipeline_digest(lungpatch.load_pipeline("default"))


@needs_bfloat16
def test_features_are_computed_in_it():
    patches = phantom_patches(64)
    exact, fast = (
        LungEncoder(levels=(0, 4), grid=4, device="cpu", precision=precision).extract(patches)
        for precision in ("float32", "bfloat16")
    )
    assert fast.dtype == np.float32
    assert 0 < np.abs(fast - exact).max() < 0.05 * np.abs(exact).max()


def test_a_processor_that_is_not_made_for_it_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(torch_adapter.torch.cpu, "get_capabilities", dict)
    patches = phantom_patches(64)
    exact, fast = (
        LungEncoder(grid=4, device="cpu", precision=precision).extract(patches)
        for precision in ("float32", "bfloat16")
    )
    np.testing.assert_array_equal(exact, fast)


@needs_bfloat16
def test_scores_of_radiographs_stay_and_decisions_too():
    exact, fast = (
        load_to_run("default", device="cpu", precision=precision)
        for precision in ("float32", "bfloat16")
    )
    images = sample()
    for index in range(len(images)):
        one, other = (pipeline.detect(images.read(index)) for pipeline in (exact, fast))
        assert one.status == other.status
        assert one.pred_score == pytest.approx(other.pred_score, abs=MOST_DIFFERENCE)
        assert one.decision.pred_label == other.decision.pred_label
        np.testing.assert_array_equal(one.lungs.pixels, other.lungs.pixels)
