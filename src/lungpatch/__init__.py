"""Find where a chest radiograph departs from normal lung, without training on a single lesion.

Every detector is a reconstruction compared by a scorer. What happens to an image, and where::

    image -> lung mask -> patches -> reconstruction -> scores -> anomaly map -> decision, regions
    io       segmenters   samplers   models            scorers   pipeline       thresholders

In code:

>>> import lungpatch
>>> pipeline = lungpatch.load_preset("paper")
>>> pipeline.fit("normal/")                                # doctest: +SKIP
>>> detection = pipeline.detect("patient.png")             # doctest: +SKIP
>>> detection.decision.pred_label, detection.native_boxes  # doctest: +SKIP

This is a research tool, not a medical device.
"""

import lazy_loader as lazy

# Names are imported at first use (PEP 562): `import lungpatch` must cost next to nothing.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
