"""A process that works on images which another one sends: ``python -m lungpatch.archive.worker``.

One JSON object per line, in and out. It ends when its input does.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def main() -> None:
    """Read the job, load the pipeline, and process one message after the other."""
    # Ctrl-C reaches all processes of a terminal; the one that sends the work decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Raised as an exception, so that no temporary file stays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Whatever libraries print must not get between the lines of JSON.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: Mapping[str, Any]) -> None:
        left = memoryview((json.dumps(message) + "\n").encode("ascii"))
        while left:
            left = left[answers.write(left) :]

    status = 0
    try:
        _work(send)
    except BrokenPipeError:  # nobody is there any more
        pass
    except SystemExit:  # told to end
        status = 1
    sys.stderr.flush()
    os._exit(status)  # taking all libraries down takes a tenth of a second more


def _work(send: Callable[[Mapping[str, Any]], None]) -> None:
    from lungpatch._utils.files import json_line
    from lungpatch._utils.freed_memory import keep_freed_memory
    from lungpatch._utils.inference_threads import set_inference_threads
    from lungpatch.archive.processing import Job, Processor
    from lungpatch.errors import LungpatchError

    keep_freed_memory()
    first = json.loads(sys.stdin.readline())
    logger = logging.getLogger("lungpatch")
    logger.setLevel(first["log_level"])
    logger.addHandler(_Sender(send))
    logger.propagate = False
    set_inference_threads(first["threads"])
    try:
        processor = Processor.load(
            first["pipeline"],
            Job(**first["job"]),
            device=first["device"],
            precision=first["precision"],
        )
    except (LungpatchError, OSError) as error:
        send({"not loaded": str(error)})
        return
    gc.freeze()  # what is loaded stays, and need not be looked through again and again
    try:
        send({"ready": True})
        for line in sys.stdin:
            message = json.loads(line)
            records = processor.records([(path, name) for path, name in message["tasks"]])
            # By way of what is written, so that both ways of working give the same records.
            plain = [json.loads(json_line(record)) for record in records]
            send({"number": message["number"], "records": plain})
    except BrokenPipeError:
        raise
    except (LungpatchError, OSError) as error:
        send({"error": str(error)})


class _Sender(logging.Handler):
    """Hands messages to the process that sends the work, whose user has chosen where they go."""

    def __init__(self, send: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send({"log": [record.name, record.levelno, record.getMessage()]})


if __name__ == "__main__":
    main()
