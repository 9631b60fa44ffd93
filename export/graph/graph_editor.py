"""Edit ONNX graphs: look up, add and remove nodes on a copy."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization.onnx_model import ONNXModel

__all__ = ["GraphEditor", "attributes"]


class GraphEditor:
    """A copy of a graph to edit.

    Attributes:
        nodes: All nodes of the copy; added ones are at the end.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        """Copy a graph, which is not changed itself."""
        self._model = copy.deepcopy(model)
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self._shapes = {each.name: each.type.tensor_type.shape.dim for each in inferred.value_info}
        self._constants = {each.name: each for each in self._model.graph.initializer}
        self.nodes = self._model.graph.node

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor, 0 for a dynamic axis; empty if unknown."""
        return [side.dim_value for side in self._shapes.get(name, ())]

    def producer(self, name: str) -> onnx.NodeProto | None:
        """Node that computes a tensor; None for an input or a constant."""
        return next((node for node in self.nodes if name in node.output), None)

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """Nodes that read a tensor."""
        return [node for node in self.nodes if name in node.input]

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """Value of a constant; None if the tensor is not constant."""
        found = self._constants.get(name)
        return None if found is None else numpy_helper.to_array(found)

    def same_constants(self, some: Sequence[str], others: Sequence[str]) -> bool:
        """True if all of these are constants and pairwise equal."""
        pairs = [(self.constant(a), self.constant(b)) for a, b in zip(some, others, strict=True)]
        return all(a is not None and b is not None and np.array_equal(a, b) for a, b in pairs)

    def add_constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add a constant and return its name."""
        self._constants[name] = numpy_helper.from_array(value, name)
        self._model.graph.initializer.append(self._constants[name])
        return name

    def add(
        self, name: str, op_type: str, inputs: Sequence[str], output: str = "", **attributes: object
    ) -> str:
        """Add a node and return the name of its only output, by default the node's own name."""
        output = output or name
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name, **attributes))
        return output

    def redirect(self, tensor: str, other: str) -> None:
        """Let all readers of one tensor read another one."""
        for node in self.readers(tensor):
            node.input[:] = [other if name == tensor else name for name in node.input]

    def remove(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Remove nodes, so that others can compute their outputs."""
        for node in list(nodes):
            self.nodes.remove(node)

    def result(self) -> onnx.ModelProto:
        """Sort the nodes and drop those that no output depends on; the editor must not be used afterwards."""
        graph = self._model.graph
        producers = {output: node for node in self.nodes for output in node.output}
        wanted, used = [each.name for each in graph.output], set()
        while wanted:
            name = wanted.pop()
            if name not in used:
                used.add(name)
                wanted += producers[name].input if name in producers else []
        self.remove(node for node in self.nodes if not used.intersection(node.output))
        for constant in [each for each in graph.initializer if each.name not in used]:
            graph.initializer.remove(constant)
        ordered = ONNXModel(self._model)
        ordered.topological_sort()
        return ordered.model


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes that a node sets, by name, without those left at their default."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
