"""
Thresholds and false alarms
===========================

A threshold is set by normal images alone. How many normal patients will be above it, and how
certain is that?
"""

import matplotlib.pyplot as plt
import numpy as np

from lungpatch.thresholders import (
    ConformalThresholder,
    MixtureThresholder,
    MultiOtsuThresholder,
    QuantileThresholder,
)

# %%
# Scores of normal patients have a long tail. Here they are drawn from a gamma distribution, so
# that the true rate of false alarms of any threshold is known.

rng = np.random.default_rng(0)


def normal_scores(count):
    """Draw the scores of ``count`` normal patients."""
    return rng.gamma(4.0, 1.0, count)


population = normal_scores(200_000)

# %%
# What ``conformal`` guarantees
# -----------------------------
# The 95 % quantile of 40 patients gives more than 5 % false alarms on average, because so few
# patients hardly show the tail. The conformal threshold keeps to 5 % on average over
# calibrations, whatever the distribution; the rate of a single calibration still varies.

asked = 0.05
sizes = (20, 40, 80, 160, 320)
figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
for offset, name, make in (
    (-0.1, "quantile", lambda: QuantileThresholder(q=1 - asked)),
    (0.1, "conformal", lambda: ConformalThresholder(alpha=asked)),
):
    rates = np.array(
        [
            [(population > make().fit(normal_scores(size)).threshold_).mean() for _ in range(150)]
            for size in sizes
        ]
    )
    low, high = np.quantile(rates, [0.05, 0.95], axis=1)
    positions, colour = np.arange(len(sizes)) + offset, "C0" if offset < 0 else "C1"
    ax.vlines(positions, low, high, color=colour, lw=5, alpha=0.4)
    ax.plot(positions, rates.mean(axis=1), "o", color=colour, label=name)
ax.axhline(asked, color="0.4", ls="--", label="asked for")
ax.set(xticks=range(len(sizes)), xticklabels=sizes, xlabel="normal patients to calibrate on")
ax.set(ylabel="true rate of false alarms", title="mean and central 90 % of calibrations")
ax.legend()
plt.show()

# %%
# With too few patients it raises an error that says how many it needs:

from lungpatch import LungpatchError

try:
    ConformalThresholder(alpha=0.01).fit(normal_scores(40))
except LungpatchError as error:
    print(error)

# %%
# Several thresholds
# ------------------
# The paper looks for two thresholds between three kinds of patches. Where scores have three
# peaks, ``multi-otsu`` and ``mixture`` find the valleys between them. The scores of the paper's
# patches have one peak, and then any two thresholds are arbitrary.

kinds = {
    "three peaks": np.concatenate([rng.normal(m, 1, 700) for m in (2, 7, 12)]),
    "one peak": rng.gamma(4.0, 1.3, 2100),
}
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for ax, (name, scores) in zip(axes, kinds.items(), strict=True):
    ax.hist(scores, bins=60, color="0.8")
    for colour, thresholder in (("C0", MultiOtsuThresholder()), ("C3", MixtureThresholder())):
        for number, value in enumerate(thresholder.fit(scores).thresholds_):
            label = type(thresholder).__name__ if number == 0 else None
            ax.axvline(value, color=colour, label=label)
    ax.set(title=name, xlabel="patch score")
axes[0].legend()
plt.show()
