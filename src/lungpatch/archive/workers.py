"""Several processes that share the images of an archive. One that dies costs one image."""

from __future__ import annotations

import collections
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

import attrs

from lungpatch.errors import ConfigurationError, DestinationError, InvalidImageError
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


@attrs.define(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    pending: collections.deque[int] = attrs.field(factory=collections.deque)
    is_ready: bool = False

    def send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write((json.dumps(message) + "\n").encode("ascii"))
            self.process.stdin.flush()
        except (BrokenPipeError, OSError):
            pass  # it has died; its end of output says so


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
    device : str or None

    Examples
    --------
    >>> with Workers(pipeline="default", job=job, count=2, threads=None,
    ...              device=None) as workers:                          # doctest: +SKIP
    ...     for record in workers.records([[("a.png", "a")], [("b.png", "b")]]):
    ...         print(record["status"])
    """

    def __init__(
        self, *, pipeline: str, job: Job, count: int, threads: int | None, device: str | None
    ) -> None:
        self._threads = threads or 1
        self._start_message = {
            "pipeline": pipeline,
            "job": attrs.asdict(job),
            "device": device,
            "threads": self._threads,
        }
        self._count = count
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
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()

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
        DestinationError
            If a worker cannot begin, or cannot write.
        """
        todo: dict[int, Sequence[Task]] = dict(enumerate(batches))
        waiting = collections.deque(todo)
        while todo:
            self._hand_out(todo, waiting)
            worker, answer = self._answers.get()
            if answer is None:
                yield from self._bury(worker, todo, waiting)
            elif "error" in answer:
                raise DestinationError(answer["error"])
            elif "ready" in answer:
                worker.is_ready = True
            else:
                worker.pending.remove(answer["number"])
                del todo[answer["number"]]
                yield from answer["records"]

    def _hand_out(
        self, todo: Mapping[int, Sequence[Task]], waiting: collections.deque[int]
    ) -> None:
        while waiting and len(self._workers) < min(self._count, len(todo)):
            self._workers.append(self._start())
        for worker in sorted(self._workers, key=lambda each: len(each.pending)):
            while waiting and len(worker.pending) < WAITING:
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
        reason = _how_it_ended(worker.process.wait())
        if not worker.is_ready:
            raise DestinationError(f"a worker process could not begin: {reason}")
        if not worker.pending:
            return
        begun = worker.pending.popleft()
        waiting.extendleft(reversed(worker.pending))
        tasks = todo.pop(begun)
        if len(tasks) > 1:  # one of them is to blame: each by itself
            for task in tasks:
                number = max([*todo, begun]) + 1
                todo[number] = [task]
                waiting.append(number)
            return
        ((path, name),) = tasks
        error = InvalidImageError(
            f"{path}: the process that worked on it ended: {reason}. It may need more memory than "
            "there is, or break its decoder; try it alone, or go on with resume"
        )
        yield failure_record(Failure(source=path, error=error)) | {"name": name}

    def _start(self) -> _Worker:
        environment = os.environ | {
            "OMP_NUM_THREADS": str(self._threads),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "lungpatch.archive.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        worker = _Worker(process)
        worker.send(self._start_message)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            self._answers.put((worker, json.loads(line)))
        self._answers.put((worker, None))


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"{name}, perhaps for want of memory" if name == "SIGKILL" else name
