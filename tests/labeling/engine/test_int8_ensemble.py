"""The 8-bit ensemble against the float32 one."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch

from edgeloop.edge.synth import open_scene
from edgeloop.export.check.parity import disagreement
from edgeloop.export.network.compact_detector import is_class_layer
from edgeloop.export.network.start_detector import start_detector
from edgeloop.labeling.engine.ensemble import Ensemble, write_ensemble
from edgeloop.labeling.engine.int8_ensemble import fastest_graph


def test_eight_bits_find_nearly_what_float32_finds(tmp_path: Path) -> None:
    members = [start_detector(1, None, seed=seed)[0].eval() for seed in range(2)]
    for member in members:  # sure of something, though not trained
        with torch.no_grad():
            for name, each in member.named_parameters():
                if is_class_layer(name) and name.endswith("bias"):
                    each.zero_()
    graph = tmp_path / "ensemble.onnx"
    write_ensemble(members, graph)
    scene = open_scene("conveyor", seed=3, size=(240, 180))
    seen, unseen = [scene.render(frame) for frame in (0, 9, 18)], [scene.render(frame) for frame in (5, 14)]

    chosen = fastest_graph(graph, 256, seen)

    path = tmp_path / "ensemble-int8.onnx"
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(path).graph.node}
    found = [[each.detect(image) for image in unseen] for each in (Ensemble(graph, 256), Ensemble(path, 256))]
    assert sum(len(each) for each in found[0]) > 10
    assert 0.05 < disagreement(*found) < 0.3  # hundreds of boxes of an untrained detector differ a little
    assert chosen == graph, "8 bits that differ are not used"
