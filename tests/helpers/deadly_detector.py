"""An `ImageDetector` that ends its process, as a decoder that crashes does."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import lungpatch


class DeadlyDetector(lungpatch.ImageDetector):
    """The names of images begin with their fate: a signal, ``exit``, ``printed`` or ``bug``."""

    def records(self, images, names=None):
        for name in names:
            fate = Path(name).name.partition("-")[0]
            if fate == "exit":
                os._exit(7)
            if fate == "printed":
                sys.stdout.write("\x80\x04K\x01.")  # looks like an answer
                sys.stdout.flush()
            if fate.startswith("SIG"):
                os.kill(os.getpid(), signal.Signals[fate])
            if fate == "bug":
                raise RuntimeError("a bug")
        return super().records(images, names)


class NeverBegins(lungpatch.ImageDetector):
    """Ends its process while it loads the pipeline."""

    def load(self):
        os._exit(9)
