"""A process that works on images which another one sends: ``python -m lungpatch.archive.worker``.

One JSON object per line, in and out. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def main() -> None:
    """Read the job, load the pipeline, and process one message after the other."""
    # Ctrl-C reaches all processes of a terminal; the one that sends the work decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever libraries print must not get between the lines of JSON.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: Mapping[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    from lungpatch._utils.files import json_line
    from lungpatch.archive.processing import Job, Processor
    from lungpatch.errors import LungpatchError
    from lungpatch.networks.torch_adapter import set_inference_threads

    first = json.loads(sys.stdin.readline())
    set_inference_threads(first["threads"])
    try:
        processor = Processor.load(first["pipeline"], Job(**first["job"]), device=first["device"])
        send({"ready": True})
        for line in sys.stdin:
            message = json.loads(line)
            records = processor.records([(path, name) for path, name in message["tasks"]])
            # By way of what is written, so that both ways of working give the same records.
            plain = [json.loads(json_line(record)) for record in records]
            send({"number": message["number"], "records": plain})
    except (LungpatchError, OSError) as error:
        send({"error": str(error)})


if __name__ == "__main__":
    main()
