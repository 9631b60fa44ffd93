"""Scenes that know their ground truth: a camera for the demo, the tests and whoever has no camera at hand.

A scene is a pure function of its seed and a frame index: any frame can be asked for in any order, and
what lies in it (boxes, masks, classes, tracks) is known to the pixel.
"""

from edgeloop.edge.synth.scene import SCENES, Scene, open_scene
from edgeloop.edge.synth.truth import Truth

__all__ = ["SCENES", "Scene", "Truth", "open_scene"]
