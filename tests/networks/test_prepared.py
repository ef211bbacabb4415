"""Networks prepared for inference compute what the originals do."""

import copy

import pytest
import torch
from torch import nn

from lungpatch.networks.compact_unet import CompactUNet
from lungpatch.networks.lung_network import load_lung_network, prepared_lung_network
from lungpatch.networks.prepared import prepare

CPU = torch.device("cpu")


def used_network() -> CompactUNet:
    """With statistics and weights of normalisation that are not those at the start."""
    torch.manual_seed(0)
    network = CompactUNet(channels_in=2, channels=(4, 6, 8))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.3)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return network.eval()


def test_the_output_is_the_same():
    network = used_network()
    images = torch.randn(3, 2, 32, 32)
    with torch.inference_mode():
        expected = network(images)
        torch.testing.assert_close(prepare(network, CPU)(images), expected, rtol=1e-4, atol=1e-5)


def test_no_normalisation_is_left_and_the_original_stays():
    network = used_network()
    before = copy.deepcopy(network.state_dict())
    prepared = prepare(network.train(), CPU)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in prepared.modules())
    assert not prepared.training
    assert network.training
    assert not any(weight.requires_grad for weight in prepared.parameters())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_layers_that_are_needed_keep_their_output():
    network = used_network()
    outputs = {}
    for which, each in (("raw", network), ("kept", prepare(network, CPU, keep=["stem.0"]))):
        each.stem[0].register_forward_hook(
            lambda _module, _inputs, output, which=which: outputs.update({which: output})
        )
        with torch.inference_mode():
            each(torch.ones(1, 2, 32, 32))
    torch.testing.assert_close(outputs["kept"], outputs["raw"])


@pytest.mark.parametrize(
    "layers",
    [
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)),
        nn.Sequential(nn.Conv2d(1, 2, 3)),
    ],
)
def test_what_cannot_be_folded_stays(layers):
    images = torch.randn(2, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(prepare(layers, CPU)(images), layers.eval()(images))


def test_the_packaged_network_is_prepared_once():
    network = prepared_lung_network(CPU)
    assert prepared_lung_network(CPU) is network
    images = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            network(images), load_lung_network(CPU)(images), rtol=1e-4, atol=1e-4
        )
