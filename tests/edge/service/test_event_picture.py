"""Pictures of events: the object in its frame."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.service.event_picture import event_jpeg
from edgeloop.edge.service.service_part import make_event
from edgeloop.edge.tracking import Event
from tests.masked import masked

ENTER = Event("enter", "yard", 7, 0)


@pytest.mark.parametrize("with_masks", [True, False])
def test_the_mask_of_the_object_is_drawn_and_no_other(with_masks: bool) -> None:
    seen, other = np.zeros((120, 160), np.bool_), np.zeros((120, 160), np.bool_)
    seen[40:100, 20:30] = seen[90:100, 20:100] = True
    other[10:60, 110:150] = True
    found = replace(masked(other, seen), tracker_id=np.array([3, 7], np.int64))
    found = found if with_masks else replace(found, masks=None)
    image = np.full((120, 160, 3), 128, np.uint8)
    frame = Frame(image, 0, 0.0, 0.0, "gate")
    event = make_event("gate", Result(frame, found, Timings(1.0, {})), ENTER, ["block", "box"])
    assert "masks" not in json.dumps(event.as_dict())
    drawn = cv2.imdecode(np.frombuffer(event_jpeg(event), np.uint8), cv2.IMREAD_COLOR)
    differs = (np.abs(drawn.astype(int) - image) > 20).any(axis=2)
    assert differs[60:80, 24:28].mean() == with_masks
    assert not differs[60:80, 40:90].any(), "in the box, not of the object"
    assert not differs[:, 110:].any()
    assert (image == 128).all()


def test_an_object_that_is_gone_has_no_mask() -> None:
    frame = Frame(np.zeros((20, 30, 3), np.uint8), 0, 0.0, 0.0, "gate")
    found = replace(masked(np.ones((20, 30), np.bool_)), tracker_id=np.array([3], np.int64))
    event = make_event("gate", Result(frame, found, Timings(1.0, {})), ENTER, ["block"])
    assert event.masks is None
    assert event_jpeg(event)
