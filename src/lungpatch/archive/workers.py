"""Several processes that share the images of an archive. One that dies costs one image."""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

import attrs

from lungpatch.errors import (
    ConfigurationError,
    DestinationError,
    InvalidImageError,
    LungpatchError,
    SavedPipelineError,
)
from lungpatch.pipeline import Failure
from lungpatch.reports import failure_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from lungpatch.archive.processing import Job, Task

IMAGES_PER_WORKER = 50
"""With fewer images a further process takes longer to start than it saves."""

WAITING = 2
"""Tasks that a worker has at most: one that it works on, and the next."""

FAILED_STARTS = 3
"""Processes that may die one after the other before any can begin."""

SECONDS_TO_END = 5.0
"""A process that was told to end and has not is killed."""


def count_workers(workers: int | str, n_images: int) -> int:
    """Return how many processes share the work.

    Parameters
    ----------
    workers : int or "auto"
        ``"auto"``: one per core that this process may use, and at most one per
        `IMAGES_PER_WORKER` images.
    n_images : int

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ConfigurationError
        If it is neither ``"auto"`` nor a number of at least 1.

    Examples
    --------
    >>> count_workers(3, 10), count_workers("auto", 10)
    (3, 1)
    """
    if workers == "auto":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return max(1, min(cores or 1, n_images // IMAGES_PER_WORKER))
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ConfigurationError(f"workers must be 'auto' or at least 1, got {workers!r}")
    return workers


class _Worker:
    """A process, and the two threads that write to it and read from it.

    Pipes hold little: nobody else may have to wait because one process does not read.
    """

    def __init__(
        self,
        start_message: Mapping[str, Any],
        environment: Mapping[str, str],
        answers: queue.Queue[tuple[_Worker, dict[str, Any] | None]],
    ) -> None:
        self.pending: collections.deque[int] = collections.deque()
        self.is_ready = False
        self._answers = answers
        self._messages: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        # Not in the group of the terminal, whose Ctrl-C it would get; nor does it import modules
        # from wherever it is started.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lungpatch.archive.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self.send(start_message)
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._speak, self._listen)
        ]
        for thread in self._threads:
            thread.start()

    def send(self, message: Mapping[str, Any]) -> None:
        self._messages.put(message)

    def _speak(self) -> None:
        stream = self._process.stdin
        assert stream is not None
        with contextlib.suppress(OSError), stream:  # if it has died, the end of its output says so
            for message in iter(self._messages.get, None):
                stream.write((json.dumps(message) + "\n").encode("ascii"))
                stream.flush()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream:
            for line in stream:
                if line.endswith(b"\n"):  # else it died while it wrote
                    self._answers.put((self, json.loads(line)))
        self._answers.put((self, None))

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self) -> int:
        """Wait for the end of the process and of the threads; return its exit status."""
        self._messages.put(None)
        try:
            status = self._process.wait(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        for thread in self._threads:
            thread.join()
        return status


class Workers:
    """Processes that do one job, each with a pipeline of its own.

    Parameters
    ----------
    pipeline : str
        What `lungpatch.load_pipeline` takes.
    job : Job
    count : int
        Number of processes.
    threads : int or None
        Threads of each; by default 1.
    device, precision : str or None
        As `lungpatch.archive.processing.load_to_run` takes them.

    Examples
    --------
    >>> with Workers(pipeline="default", job=job, count=2) as workers: # doctest: +SKIP
    ...     for record in workers.records([[("a.png", "a")], [("b.png", "b")]]):
    ...         print(record["status"])
    """

    def __init__(
        self,
        *,
        pipeline: str,
        job: Job,
        count: int,
        threads: int | None = None,
        device: str | None = None,
        precision: str | None = None,
    ) -> None:
        threads = threads or 1
        self._start_message = {
            "pipeline": pipeline,
            "job": attrs.asdict(job),
            "device": device,
            "precision": precision,
            "threads": threads,
            "log_level": logging.getLogger("lungpatch").getEffectiveLevel(),
        }
        self._environment = worker_environment(threads)
        self._count = count
        self._failed_starts = 0
        self._answers: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.wait()

    def records(self, batches: Sequence[Sequence[Task]]) -> Iterator[dict[str, Any]]:
        """Process batches of images and yield their records as they come.

        Parameters
        ----------
        batches : sequence of sequence of (path, stem)

        Yields
        ------
        dict
            One per image. An image whose process died has the status ``"error"``.

        Raises
        ------
        LungpatchError
            If processes die again and again before they begin.
        SavedPipelineError
            If one cannot load the pipeline.
        DestinationError
            If one cannot write.
        """
        todo: dict[int, Sequence[Task]] = dict(enumerate(batches))
        waiting = collections.deque(todo)
        while todo:
            self._hand_out(todo, waiting)
            worker, answer = self._answers.get()
            if answer is None:
                yield from self._bury(worker, todo, waiting)
            elif "not loaded" in answer:
                raise SavedPipelineError(answer["not loaded"])
            elif "error" in answer:
                raise DestinationError(answer["error"])
            elif "log" in answer:
                name, level, text = answer["log"]
                logging.getLogger(name).log(level, "%s", text)
            elif "ready" in answer:
                worker.is_ready = True
                self._failed_starts = 0
            else:
                worker.pending.remove(answer["number"])
                del todo[answer["number"]]
                yield from answer["records"]

    def _hand_out(
        self, todo: Mapping[int, Sequence[Task]], waiting: collections.deque[int]
    ) -> None:
        while waiting and len(self._workers) < min(self._count, len(todo)):
            self._workers.append(_Worker(self._start_message, self._environment, self._answers))
        for worker in sorted(self._workers, key=lambda each: len(each.pending)):
            while waiting and worker.is_ready and len(worker.pending) < WAITING:
                number = waiting.popleft()
                worker.pending.append(number)
                worker.send({"number": number, "tasks": list(todo[number])})

    def _bury(
        self,
        worker: _Worker,
        todo: dict[int, Sequence[Task]],
        waiting: collections.deque[int],
    ) -> Iterator[dict[str, Any]]:
        """Find what the death of a worker cost; what it had not begun goes to the others."""
        self._workers.remove(worker)
        reason = how_it_ended(worker.wait())
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts > FAILED_STARTS:
                raise LungpatchError(
                    f"processes that share the work end before they begin: {reason}; use fewer "
                    "workers, or workers=1 to see why"
                )
            return
        if not worker.pending:
            return
        begun = worker.pending.popleft()
        waiting.extendleft(reversed(worker.pending))
        tasks = todo.pop(begun)
        if len(tasks) > 1:  # one of them is to blame: each by itself
            for number, task in enumerate(tasks, start=max([*todo, begun]) + 1):
                todo[number] = [task]
                waiting.append(number)
            return
        ((path, name),) = tasks
        error = InvalidImageError(
            f"{path}: the process that worked on it ended: {reason}. It may need more memory than "
            "there is, or break its decoder; try it alone, or go on with resume"
        )
        yield failure_record(Failure(source=path, error=error)) | {"name": name}


def worker_environment(threads: int) -> dict[str, str]:
    """Return the environment of a process that shares the work of this one.

    Examples
    --------
    >>> worker_environment(threads=1)["OMP_NUM_THREADS"]
    '1'
    """
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        # Modules, those of plugins too, are found where this process finds them.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }


def how_it_ended(status: int) -> str:
    """Return in words how a process ended, from its exit status as `subprocess` gives it.

    Examples
    --------
    >>> how_it_ended(-9), how_it_ended(3)
    ('SIGKILL, perhaps for want of memory', 'exit status 3')
    """
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"{name}, perhaps for want of memory" if name == "SIGKILL" else name
