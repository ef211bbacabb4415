"""An `ImageDetector` in a process of its own: ``python -m lungpatch.archive.detector_process``.

An image that ends this process, as one that takes all memory does, leaves the other one alive. What
goes in and out is pickled, between a process and the one that it has started. It ends when its
input does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import weakref
from typing import IO, TYPE_CHECKING, Any

from lungpatch._utils.freed_memory import keep_freed_memory
from lungpatch.archive.workers import (
    FAILED_STARTS,
    SECONDS_TO_END,
    how_it_ended,
    worker_environment,
)
from lungpatch.errors import InvalidImageError, LungpatchError
from lungpatch.pipeline import Failure
from lungpatch.reports import failure_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lungpatch.archive.image_detector import Image, ImageDetector


class DetectorProcess:
    """Detects in another process. If that dies, the image is named and another one is started.

    Parameters
    ----------
    detector : ImageDetector

    Raises
    ------
    LungpatchError
        If processes die again and again before they begin.
    SavedPipelineError, ConfigurationError, InsufficientDataError
        As `ImageDetector.load` does.

    Examples
    --------
    >>> process = DetectorProcess(lungpatch.ImageDetector())           # doctest: +SKIP
    >>> process.records(["a.png"], ["a.png"])[0]["status"]             # doctest: +SKIP
    'ok'
    """

    def __init__(self, detector: ImageDetector) -> None:
        self._detector = detector
        self._start()

    def records(self, images: Sequence[Image], names: Sequence[str]) -> list[dict[str, Any]]:
        """Detect in images together.

        Parameters
        ----------
        images : sequence of str, path or bytes
        names : sequence of str
            What the records call them; one per image.

        Returns
        -------
        list of dict
            As `ImageDetector.records`. An image whose process died has the status ``"error"``.

        Raises
        ------
        LungpatchError
            If processes die again and again before they begin.
        """
        try:
            records: list[dict[str, Any]] = self._ask((list(images), list(names)))
        except _ProcessDiedError as death:
            self._start()
            if len(images) > 1:  # one of them is to blame: each by itself
                return [
                    record
                    for image, name in zip(images, names, strict=True)
                    for record in self.records([image], [name])
                ]
            error = InvalidImageError(
                f"{names[0]}: the process that worked on it ended: {death}. It may need more "
                "memory than there is, or break its decoder; try it alone"
            )
            return [failure_record(Failure(source=names[0], error=error))]
        return records

    def _start(self) -> None:
        for _ in range(FAILED_STARTS + 1):
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=worker_environment(threads=1),
            )
            weakref.finalize(self, _end, self._process)
            try:
                self._ask(self._detector)
            except _ProcessDiedError as death:
                reason = str(death)
            else:
                return
        raise LungpatchError(
            f"the process that detects ends before it begins: {reason}; it may need more memory "
            "than there is"
        )

    def _ask(self, question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(question, self._process.stdin)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise _ProcessDiedError(how_it_ended(_end(self._process))) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


class _ProcessDiedError(Exception):
    """Says how."""


def _end(process: subprocess.Popen[bytes]) -> int:
    """Let a process end, and return its exit status."""
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with contextlib.suppress(OSError):  # what it did not read any more
            stream.close()
    try:
        return process.wait(timeout=SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def main() -> None:
    """Load the pipeline of a detector, and detect in one batch of images after the other."""
    keep_freed_memory()
    # Raised as an exception, so that no temporary file stays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Whatever libraries print must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Nobody asks, or nobody is there any more.
    with contextlib.suppress(EOFError, BrokenPipeError):
        _work(sys.stdin.buffer, answers)


def _work(questions: IO[bytes], answers: IO[bytes]) -> None:
    detector: ImageDetector = pickle.load(questions)
    answer: Any = None
    try:
        detector.load()
    except Exception as error:
        answer = error
    while True:
        pickle.dump(answer, answers)
        answers.flush()
        images, names = pickle.load(questions)
        try:
            answer = detector.records(images, names)
        except Exception as error:
            answer = error


if __name__ == "__main__":
    main()
