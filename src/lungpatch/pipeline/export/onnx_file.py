"""A torch module as the content of an ONNX file."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lungpatch._utils.extras import import_extra
from lungpatch._version import __version__
from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OPSET, IR_VERSION = 18, 8
"""Versions of ONNX that are written: those of ONNX 1.13, of 2022, which runtimes read."""


def onnx_content(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    *,
    notes: Mapping[str, str],
) -> bytes:
    """Return what an ONNX file of a module holds.

    Parameters
    ----------
    module : torch.nn.Module
    inputs : mapping of str to Tensor
        An example of each, by the names that they get, in order; the first axis may have any
        length.
    outputs : sequence of str
        The names that they get.
    notes : mapping of str to str
        What the file says of itself.

    Returns
    -------
    bytes

    Raises
    ------
    ConfigurationError
        If the module does something that ONNX, or its exporter, does not know.

    Examples
    --------
    >>> content = onnx_content(nn.ReLU(), {"x": torch.zeros(2, 3)}, ["y"], notes={})
    ... # doctest: +SKIP
    """
    count = torch.export.Dim("N")
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=tuple({0: count} for _ in inputs),
                verbose=False,
            )
    except Exception as error:  # the exporter passes on whatever happens in it
        raise ConfigurationError(
            f"the exporter of torch {torch.__version__} to ONNX cannot export this pipeline: "
            f"{str(error).strip().splitlines()[0]}"
        ) from error
    assert program is not None  # it is None for the other exporter only
    return _finished(program.model_proto, notes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _finished(model: Any, notes: Mapping[str, str]) -> bytes:
    """Write down where a model comes from, and leave out what the exporter did on its way."""
    onnx = import_extra("onnx", needed_by="exporting to ONNX", extra="onnx")
    graph = model.graph
    # Traces of the stack, with paths of this machine.
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.metadata_props[:], graph.value_info[:], model.metadata_props[:]
    _share_weights(graph)
    graph.name = "lungpatch"
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "lungpatch", __version__
    model.doc_string = "Anomaly maps of chest radiographs. A research tool, not a medical device."
    onnx.helper.set_model_props(model, dict(notes))
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _share_weights(graph: Any) -> None:
    """Keep one of several weights that are equal, such as those of a network that is used twice."""
    first: dict[tuple[Any, ...], str] = {}
    others: dict[str, str] = {}
    kept = []
    for weight in graph.initializer:
        key = (weight.data_type, *weight.dims, weight.raw_data or weight.SerializeToString())
        if key in first:
            others[weight.name] = first[key]
        else:
            first[key] = weight.name
            kept.append(weight)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = others.get(name, name)
