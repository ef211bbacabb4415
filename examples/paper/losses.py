"""
Losses, and the effect of the printed Dice loss
===============================================

The paper prints its loss as ``-ln(2 |sum IJ| / sum(|I| + |J|))``, without squares. Its optimum is
not J = I: for a patch of one grey level the loss falls as J grows, so outputs in [0, 1] go to 1.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from lungpatch import Autoencoder, GridSampler, LungMask, PatchStore
from lungpatch.datasets import phantom_cohort
from lungpatch.models.diagnostics import identity_shortcut
from lungpatch.networks.losses import dice, squared_dice

# %%
# On paper
# --------
# Both losses of a constant output J, for patches of one grey level I. The squared form (V-Net's)
# is lowest where J = I; the printed one always at J = 1.

outputs = torch.linspace(0.01, 1, 200)
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
for ax, loss in zip(axes, (dice, squared_dice), strict=True):
    for level in (0.2, 0.4, 0.6):
        target = torch.full((1, 1, 4, 4), level)
        losses = [loss(torch.full_like(target, float(j)), target).item() for j in outputs]
        (line,) = ax.plot(outputs, losses, label=f"I = {level}")
        best = int(np.argmin(losses))
        ax.plot(outputs[best], losses[best], "o", color=line.get_color())
    ax.set(title=loss.__name__, xlabel="output J", ylim=(-0.7, 2))
axes[0].set_ylabel("loss")
axes[0].legend()
plt.show()

# %%
# In a network
# ------------
# The paper's network without its skip connections is trained for a few epochs with each loss. The
# true lung masks are used here, so nothing depends on a segmenter.

sampler = GridSampler(patch_size=32, stride=12, min_lung_fraction=1.0)
batches = [
    sampler.sample(case.image, LungMask(pixels=case.lungs))
    for case in phantom_cohort(16, 0, seed=4, size=256)
]
reconstructions = {}
with PatchStore(32) as training, PatchStore(32) as unseen:
    for batch in batches[:12]:
        training.add(batch)
    for batch in batches[12:]:
        unseen.add(batch)
    for name in ("dice", "squared-dice", "l1"):
        model = Autoencoder(base_channels=8, loss=name, epochs=10, learning_rate=3e-3)
        model.fit(training, rng=np.random.default_rng(0))
        shortcut = identity_shortcut(model, unseen, rng=np.random.default_rng(1))
        reconstructions[name] = model.reconstruct(batches[-1]), shortcut
        print(f"{name:>13}: {shortcut}")

# %%
# Inputs are above, outputs below. With the printed loss every output is white, and the "error" of a
# patch is 255 minus its grey level: an inverted light meter.

shown = slice(None, None, max(1, len(batches[-1]) // 10))
pixels = batches[-1].pixels[shown][:10]
figure, axes = plt.subplots(4, len(pixels), figsize=(11, 4.8), layout="constrained")
rows = {"input": pixels} | {
    name: found.expected[shown, 0][:10] for name, (found, _) in reconstructions.items()
}
for line, (name, patches) in zip(axes, rows.items(), strict=True):
    for ax, patch in zip(line, patches, strict=True):
        ax.imshow(patch, cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)
plt.show()

# %%
# Does it copy?
# -------------
# The *identity shortcut* measures the method's weakness: synthetic opacities are painted into
# normal patches. At 0 the model restores the normal lung below, at 1 it copies its input. A model
# with the same output for all patches, as with the printed loss, can have any value, but has a
# large error on normal patches.

figure, axes = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
names = list(reconstructions)
axes[0].barh(names, [shortcut.shortcut for _, shortcut in reconstructions.values()])
axes[0].axvline(1, color="0.5", ls="--")
axes[0].set_title("identity shortcut (1: copies)")
axes[1].barh(names, [shortcut.normal_error for _, shortcut in reconstructions.values()])
axes[1].set_title("error on normal patches, grey levels")
plt.show()
