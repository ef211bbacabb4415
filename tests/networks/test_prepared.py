"""Networks prepared for inference compute what the originals do."""

import copy

import pytest
import torch
from torch import nn

from lungpatch.networks.compact_unet import CompactUNet
from lungpatch.networks.lung_network import load_lung_network, prepared_lung_network
from lungpatch.networks.prepared import OneDNNConvolution, prepare

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


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("after", [nn.ReLU6(), nn.ReLU(inplace=True), nn.Sigmoid()])
def test_padding_and_activation_become_part_of_a_convolution(kernel, more, groups, after):
    torch.manual_seed(1)
    before = (kernel - 2) // 2
    layers = nn.Sequential(
        nn.ZeroPad2d((before, before + more, before, before + more)),
        nn.Conv2d(4, 8, kernel, stride=2, groups=groups),
        after,
    ).eval()
    images = 20 * torch.randn(2, 4, 18, 22)
    prepared = prepare(layers, CPU)
    with torch.inference_mode():
        expected = layers(images)
        torch.testing.assert_close(prepared(images), expected, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, nn.ZeroPad2d) for module in prepared.modules())


@pytest.mark.parametrize("padding", [(1, 0, 0, 1), (2, 0, 2, 0), (0, 2, 0, 2)])
def test_padding_that_no_convolution_does_stays(padding):
    layers = nn.Sequential(nn.ZeroPad2d(padding), nn.Conv2d(1, 2, 3, stride=2), nn.ReLU6())
    images = torch.randn(2, 1, 9, 12)
    with torch.inference_mode():
        torch.testing.assert_close(prepare(layers, CPU)(images), layers(images))


def test_images_of_another_shape_are_as_well_computed():
    layers = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU())
    prepared = prepare(layers, CPU)
    for shape in ((1, 3, 8, 8), (5, 3, 8, 8), (1, 3, 12, 7), (1, 3, 8, 8)):
        images = torch.randn(shape)
        with torch.inference_mode():
            torch.testing.assert_close(prepared(images), layers(images))


def test_a_network_that_has_run_can_be_copied():
    prepared = prepare(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), CPU)
    images = torch.randn(1, 1, 8, 8)
    with torch.inference_mode():
        expected = prepared(images)
        assert torch.equal(copy.deepcopy(prepared)(images), expected)


def test_the_precision_is_that_of_the_block():
    layers = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU6())
    images = torch.randn(1, 4, 8, 8)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected, found = layers(images), prepare(layers, CPU)(images)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("activation", [nn.ReLU(inplace=True), nn.ReLU6(inplace=True)])
def test_an_activation_whose_input_is_needed_stays(activation):
    layers = nn.Sequential(nn.Conv2d(1, 2, 3), activation)
    prepared = prepare(layers, CPU, keep=["0"])
    kept = []
    prepared[0].register_forward_hook(lambda *all_: kept.append(all_[2].clone()))
    images = torch.randn(1, 1, 8, 8)
    with torch.inference_mode():
        output = prepared(images)
        torch.testing.assert_close(kept[0], layers[0](images))
    assert (kept[0] < 0).any()
    assert (output >= 0).all()


def test_normalisation_whose_output_is_needed_keeps_it_from_before_the_activation():
    torch.manual_seed(2)
    layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    prepared = prepare(layers, CPU, keep=["1"])
    kept = []
    prepared[1].register_forward_hook(lambda *all_: kept.append(all_[2].clone()))
    images = torch.randn(1, 1, 8, 8)
    with torch.inference_mode():
        output = prepared(images)
        torch.testing.assert_close(kept[0], layers[:2](images), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(output, layers(images), rtol=1e-4, atol=1e-5)
    assert (kept[0] < 0).any()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(1, 2, 3, padding="same"),
        nn.Conv2d(1, 2, 3).double(),
    ],
)
def test_other_convolutions_stay_as_they_are(layer):
    prepared = prepare(nn.Sequential(layer), CPU)
    assert not isinstance(prepared[0], OneDNNConvolution)
    images = torch.randn(1, 1, 8, 8, dtype=layer.weight.dtype)
    with torch.inference_mode():
        torch.testing.assert_close(prepared(images), layer(images)[None][0])


def test_the_packaged_network_is_prepared_once():
    network = prepared_lung_network(CPU)
    assert prepared_lung_network(CPU) is network
    images = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            network(images), load_lung_network(CPU)(images), rtol=1e-4, atol=1e-4
        )
