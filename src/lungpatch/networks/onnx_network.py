"""Networks in the ONNX format, run by ONNX Runtime. Importing this module imports neither."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np

from lungpatch._utils.extras import import_extra, require_extra
from lungpatch._utils.forks import IMPORTING
from lungpatch._utils.inference_threads import inference_threads
from lungpatch.errors import ConfigurationError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lungpatch._utils.devices import Device

STATE = "onnx"
"""Name of the file's bytes in the state of a component, uint8 (n,)."""

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
"""Those of ONNX Runtime, by our names; the fastest first."""

Shape = tuple[int | None, ...]
"""Of an array; None is any length."""

_Arrays = dict[str, tuple[np.dtype[Any], Shape]]


def require_onnxruntime(needed_by: str) -> None:
    """Check that ONNX Runtime is installed, without importing it.

    Raises
    ------
    MissingExtraError

    Examples
    --------
    >>> require_onnxruntime("the model 'onnx'")
    """
    require_extra("onnx", ["onnxruntime"], needed_by=needed_by)


class OnnxNetwork:
    """A network in the ONNX format.

    A process begins a session of ONNX Runtime when it first needs one. Copies, also those that
    are sent to other processes, begin their own. Any number of threads may run a network.

    Parameters
    ----------
    content : bytes
        What an ONNX file holds.
    name : str
        What messages call it.

    Examples
    --------
    >>> network = OnnxNetwork.read("lungs.onnx")                       # doctest: +SKIP
    >>> network.outputs                                                # doctest: +SKIP
    {'logits': (dtype('float32'), (None, 1, 128, 128))}
    """

    def __init__(self, content: bytes, name: str) -> None:
        self.content = content
        self.name = name
        self._ready: _Session | None = None
        self._described: tuple[_Arrays, _Arrays] | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file.

        Raises
        ------
        MissingInputError
            If it does not exist, or cannot be read.
        """
        try:
            return cls(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise MissingInputError(
                f"{path}: this ONNX file cannot be read ({error.strerror or error})"
            ) from error

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Return the network whose ``state`` was saved.

        Raises
        ------
        ConfigurationError
            If the state holds anything but the bytes of a file.
        """
        array = state.get(STATE)
        if array is None or len(state) > 1 or array.dtype != np.uint8 or array.ndim != 1:
            raise ConfigurationError(
                f"this state is not that of an ONNX network: it must be {STATE!r} alone, uint8 (n,)"
            )
        return cls(array.tobytes(), "the saved ONNX network")

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the bytes of the file, uint8 (n,)."""
        return {STATE: np.frombuffer(self.content, np.uint8).copy()}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_ready": None}

    @property
    def inputs(self) -> _Arrays:
        """Type and shape of each input, by name."""
        return self._description()[0]

    @property
    def outputs(self) -> _Arrays:
        """Type and shape of each output, by name."""
        return self._description()[1]

    def _description(self) -> tuple[_Arrays, _Arrays]:
        if self._described is None:
            session = self._session("cpu")
            self._described = _described(session.get_inputs()), _described(session.get_outputs())
        return self._described

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]], device: Device
    ) -> list[NDArray[Any]]:
        """Return some outputs; what only others need is not computed.

        Parameters
        ----------
        outputs : sequence of str
        inputs : mapping of str to ndarray
        device : {"auto", "cpu", "cuda", "mps"}

        Returns
        -------
        list of ndarray

        Raises
        ------
        ConfigurationError
            If the device is absent, or the network does not take these inputs.
        """
        session = self._session(device)
        given = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        try:
            arrays: list[NDArray[Any]] = session.run(list(outputs), given)
        except Exception as error:  # ONNX Runtime has no common class of its own
            raise ConfigurationError(f"{self.name}: the network cannot be run: {error}") from error
        return arrays

    def _session(self, device: Device) -> Any:
        wanted = (_present_device(device), inference_threads(), os.getpid())
        # Read once and replaced whole, since other threads do the same at the same time.
        ready = self._ready
        if ready is None or ready.made_for != wanted:
            if ready is not None and ready.made_for[2] != wanted[2]:
                _of_parents.append(ready)
            ready = self._ready = _Session(wanted, self._begin(wanted[0]))
        return ready.session

    def _begin(self, device: str) -> Any:
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = inference_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised, too
        # Threads that spin while they wait slow down other programs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        provider = _PROVIDERS[device]
        try:
            session = runtime.InferenceSession(self.content, options, providers=[provider])
        except Exception as error:  # ONNX Runtime has no common class of its own
            raise ConfigurationError(
                f"{self.name}: not an ONNX network that onnxruntime {runtime.__version__} can run "
                f"({error})"
            ) from error
        if provider not in session.get_providers():
            raise ConfigurationError(
                f"device: ONNX Runtime is built for {device!r} but cannot use it here: set "
                "device='cpu'"
            )
        return session


def _onnxruntime() -> Any:
    with IMPORTING:
        return import_extra("onnxruntime", needed_by="an ONNX network", extra="onnx")


def _present_device(device: Device) -> str:
    """Return the device, or the fastest one for "auto"."""
    available = _onnxruntime().get_available_providers()
    present = [name for name, provider in _PROVIDERS.items() if provider in available]
    if device == "auto":
        return present[0]
    if device not in present:
        raise ConfigurationError(
            f"device: no {device!r} for ONNX networks here, only {', '.join(present)}: set "
            "device='auto' for the fastest of them, or install an onnxruntime built for "
            f"{device!r}"
        )
    return device


@attrs.frozen(eq=False)
class _Session:
    """A session of ONNX Runtime, and the device, the number of threads and the process it is of."""

    made_for: tuple[str, int, int]
    session: Any


_of_parents: list[_Session] = []
"""Sessions that a forked child got. To end one is to wait for its threads, which are not here."""


def _described(nodes: Any) -> _Arrays:
    kinds = {"tensor(float)": np.float32, "tensor(bool)": np.bool_}
    return {
        node.name: (
            np.dtype(kinds.get(node.type, object)),
            # A length that is not fixed has a name, or none.
            tuple(length if isinstance(length, int) else None for length in node.shape),
        )
        for node in nodes
    }


def check_contract(
    network: OnnxNetwork,
    *,
    inputs: Mapping[str, tuple[type, Shape]],
    optional: Sequence[str] = (),
    outputs: Mapping[str, tuple[type, Shape]],
) -> None:
    """Check that a network takes and gives what a component needs.

    Parameters
    ----------
    network : OnnxNetwork
    inputs, outputs : mapping of str to (type, shape)
        None in a shape means that the network must take any number there, in an output that it may
        give any.
    optional : sequence of str
        Inputs that it need not have.

    Raises
    ------
    ConfigurationError
        If it does not; the message says what differs.

    Examples
    --------
    >>> check_contract(network, inputs={"images": (np.float32, (None, 1, 256, 256))},
    ...                outputs={"logits": (np.float32, (None, 1, None, None))})   # doctest: +SKIP
    """
    found = network.inputs
    faults = [f"it has no input {n!r}" for n in inputs if n not in found and n not in optional]
    faults += [f"its input {name!r} is not known" for name in found if name not in inputs]
    for name in found.keys() & inputs.keys():
        kind, shape = inputs[name]
        if not _fits(found[name], (kind, shape)) or found[name][1][0] is not None:
            faults.append(f"its input {name!r} is {_text(found[name])}, not {_text(inputs[name])}")
    given = network.outputs
    faults += [f"it has no output {name!r}" for name in outputs if name not in given]
    faults += [
        f"its output {name!r} is {_text(given[name])}, not {_text(outputs[name])}"
        for name in outputs
        if name in given and not _fits(given[name], outputs[name])
    ]
    if faults:
        raise ConfigurationError(f"{network.name}: {'; '.join(faults)}")


def _fits(found: tuple[Any, Shape], wanted: tuple[Any, Shape]) -> bool:
    return (
        found[0] == np.dtype(wanted[0])
        and len(found[1]) == len(wanted[1])
        and all(
            None in (have, want) or have == want
            for have, want in zip(found[1], wanted[1], strict=True)
        )
    )


def _text(described: tuple[Any, Shape]) -> str:
    lengths = ", ".join("any" if length is None else str(length) for length in described[1])
    kind = np.dtype(described[0])
    return f"{'another type' if kind.hasobject else kind.name} ({lengths})"
