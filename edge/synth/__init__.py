"""Synthetic scenes with ground truth, for the demo, the tests, and machines without a camera.

A scene is a pure function of its seed and a frame index: any frame can be rendered in any order, and its
boxes, masks, classes and tracks are known to the pixel.
"""

from edgeloop.edge.synth.scene import SCENES, Scene, open_scene
from edgeloop.edge.synth.truth import Truth

__all__ = ["SCENES", "Scene", "Truth", "open_scene"]
