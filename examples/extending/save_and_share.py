"""
Save and share a pipeline
=========================

A fitted pipeline is a folder of JSON and safetensors: names and numbers, no code, no pickle.
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import lungpatch
from lungpatch.datasets import sample

pipeline = lungpatch.load_pipeline("default")

# %%
# What is in the folder
# ---------------------

saved = pipeline.save(Path(tempfile.mkdtemp()) / "mine.lungpatch")
for path in sorted(saved.iterdir()):
    print(f"{path.name:<22} {path.stat().st_size:>8} bytes")

# %%
# Components are saved by name, with their settings, so loading a pipeline runs no code from its
# folder. Digests are checked first.

description = json.loads((saved / "pipeline.json").read_text(encoding="utf-8"))
print(json.dumps(description, indent=1)[:900], "...")

# %%
# It comes back the same
# ----------------------

image = sample().read(1)
before, after = pipeline.detect(image), lungpatch.load_pipeline(saved).detect(image)
difference = np.nanmax(np.abs(before.native_heatmap - after.native_heatmap))
print("maximum difference of the two maps:", difference)
after.plot()
plt.show()

# %%
# Whoever gets it needs the plugins that are named in it, if any, and runs
#
# .. code-block:: console
#
#    $ lungpatch detect images/ --pipeline mine.lungpatch --out found
