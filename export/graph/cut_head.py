"""Cut the decoding off a detector's graph, so that it ends at the last convolutions of each stride.

The result has the head "raw", which the host decodes; see `edgeloop.models.heads.raw`.
"""

from __future__ import annotations

import onnx
from onnx import utils

from edgeloop.export.graph.graph_editor import GraphEditor
from edgeloop.export.graph.graph_io import INPUT
from edgeloop.models.errors import ModelError
from edgeloop.models.spec import ModelSpec

__all__ = ["cut_head"]

_SCORE_BRANCHES = ("scores", "cv3")  # of edgeloop's and of Ultralytics' heads


def cut_head(model: onnx.ModelProto, spec: ModelSpec) -> tuple[onnx.ModelProto, ModelSpec]:
    """Cut a graph with the head "classic" at the last convolutions of its branches.

    Args:
        model: A graph that takes float32 (1, 3, H, W); not changed.
        spec: Its spec.

    Returns:
        The graph, with outputs boxes_S and scores_S for each stride S in turn, and its spec.

    Raises:
        ModelError: The head is another one, or its branches are not found.
    """
    if spec.head != "classic":
        raise ModelError(f"head '{spec.head}': only a classic head can be decoded on the host")
    width, height = spec.input_size
    graph = GraphEditor(model)
    names: list[str] = []
    for stride in (4, 8, 16, 32, 64):
        grid = [height // stride, width // stride]
        ends = [node for node in graph.nodes if node.op_type == "Conv" and _is_last(graph, node, grid)]
        if not ends:
            continue
        scores = [node for node in ends if any(word in node.name for word in _SCORE_BRANCHES)]
        boxes = [node for node in ends if node not in scores]
        if len(scores) != 1 or len(boxes) != 1 or graph.shape(scores[0].output[0])[1] != len(spec.names):
            found = ", ".join(node.name for node in ends)
            raise ModelError(f"stride {stride}: expected a branch of boxes and one of scores, found {found}")
        for node, name in ((boxes[0], f"boxes_{stride}"), (scores[0], f"scores_{stride}")):
            graph.redirect(node.output[0], name)
            node.name = node.output[0] = name  # some tools name an output after its node
            names.append(name)
    if not names:
        raise ModelError("the graph has no branches of boxes and scores to cut at")
    changed = onnx.shape_inference.infer_shapes(graph.result())
    cut = utils.Extractor(changed).extract_model([INPUT], names)
    return cut, spec.model_copy(update={"head": "raw"})


def _is_last(graph: GraphEditor, node: onnx.NodeProto, grid: list[int]) -> bool:
    """True if a convolution has this grid, and no other convolution of any grid follows it."""
    if graph.shape(node.output[0])[2:] != grid:
        return False
    waiting, seen = [node.output[0]], set[str]()
    while waiting:
        for reader in graph.readers(waiting.pop()):
            if reader.name in seen:
                continue
            seen.add(reader.name)
            # The mean of a box's distributions is a convolution too, of one output over (4, cells).
            if reader.op_type == "Conv" and graph.shape(reader.output[0])[1:3] != [1, 4]:
                return False
            waiting += reader.output
    return True
