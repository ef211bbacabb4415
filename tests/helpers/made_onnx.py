"""Small ONNX networks, made by hand: what is expected of them can be worked out without torch."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL


def content(nodes, inputs, outputs, weights=()):
    """Return the bytes of a network; inputs and outputs are (name, type, shape)."""
    described = [
        [helper.make_tensor_value_info(*item) for item in items] for items in (inputs, outputs)
    ]
    made = [helper.make_node(kind, given, [out], **more) for kind, given, out, more in nodes]
    graph = helper.make_graph(made, "made", *described, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def halving(side=8, count="N", *, lung=True, expected="expected", maps="M"):
    """Return a network whose target is the pixels, and that expects half of them outside the lungs.

    ``target`` is ``pixels`` and ``expected`` is ``pixels`` in the lungs, half of them elsewhere.
    """
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    half = helper.make_tensor("half", FLOAT, [], [0.5])
    nodes = [
        ("Unsqueeze", ["pixels", "axes"], "target", {}),
        ("Mul", ["pixels", "half"], "halved", {}),
        ("Where", ["lung", "pixels", "halved"], "chosen", {})
        if lung
        else ("Identity", ["halved"], "chosen", {}),
        ("Unsqueeze", ["chosen", "axes"], expected, {}),
    ]
    inputs = [("pixels", FLOAT, [count, side, side])]
    inputs += [("lung", BOOL, [count, side, side])] if lung else []
    shape = [maps, 1, side, side]
    outputs = [("target", FLOAT, shape), (expected, FLOAT, shape)]
    return content(nodes, inputs, outputs, [axes, half])


def dark(side=256, threshold=0.0):
    """Return a network that calls dark pixels lung: its logits are 8 (threshold - pixel)."""
    level = helper.make_tensor("level", FLOAT, [], [threshold])
    factor = helper.make_tensor("factor", FLOAT, [], [8.0])
    nodes = [
        ("Sub", ["level", "images"], "margin", {}),
        ("Mul", ["margin", "factor"], "logits", {}),
    ]
    shape = ["N", 1, side, side]
    return content(nodes, [("images", FLOAT, shape)], [("logits", FLOAT, shape)], [level, factor])
