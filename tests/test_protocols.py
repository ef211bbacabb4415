"""The built-in components are what the contracts say, as far as `isinstance` can tell."""

import pytest

import lungpatch
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.plugins.hookspecs import KINDS
from lungpatch.protocols import (
    PatchSampler,
    PatchSource,
    ReconstructionModel,
    Scorer,
    Segmenter,
    Thresholder,
)

CONTRACTS = {
    "segmenter": Segmenter,
    "sampler": PatchSampler,
    "model": ReconstructionModel,
    "scorer": Scorer,
}
SETTINGS = {
    "masks": {"folder": "masks"},
    "imlab": {"weights": "trained_model.hdf5"},
    "fixed": {"value": 1.0},
}
BUILT_IN = lungpatch.Registry(plugins=[])


@pytest.mark.parametrize("kind", CONTRACTS)
def test_built_in_components_keep_their_contract(kind):
    assert kind in KINDS
    checked = 0
    for name in BUILT_IN.names(kind):
        try:
            component = BUILT_IN.create(kind, name, SETTINGS.get(name, {}))
        except lungpatch.LungpatchError as error:
            assert "give" in str(error) or "needs" in str(error)  # settings without a default
            continue
        assert isinstance(component, CONTRACTS[kind])
        assert sum(isinstance(component, contract) for contract in CONTRACTS.values()) == 1
        checked += 1
    assert checked >= 2


def test_a_fitted_thresholder_is_one():
    fitted = BUILT_IN.create("thresholder", "quantile", {}).fit([1.0, 2.0, 3.0])
    assert isinstance(fitted, Thresholder)
    assert not isinstance(fitted, Scorer)


def test_a_patch_store_is_a_source_of_patches():
    members = {name for name in vars(PatchSource) if not name.startswith("_")}
    assert {"patch_size", "batches"} <= members
    with PatchStore(8) as store:
        assert all(hasattr(store, name) for name in members)
