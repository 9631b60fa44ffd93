"""Bias correction: take the mean error that rounded weights make off the biases (Nagel et al. 2019).

Weights of 8 bits per channel, symmetric, shift the mean of a channel's output, most of all in depthwise
convolutions, whose channels have few weights to average over. The shift is the error of the weights times the
mean of the input, https://arxiv.org/abs/1906.04721.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeloop.export.graph.graph_editor import GraphEditor, attributes
from edgeloop.export.graph.graph_io import INPUT
from edgeloop.export.graph.stages import run_with_outputs

__all__ = ["correct_biases"]

_STEPS = 127
_NO_RANGE = 1e-12


def correct_biases(model: onnx.ModelProto, tensors: Iterable[NDArray[np.float32]]) -> onnx.ModelProto:
    """Correct the biases of a float32 graph whose weights a quantizer will round.

    Args:
        model: Graph that takes float32 (1, 3, H, W); not changed.
        tensors: Inputs, (1, 3, H, W) in [0, 1], to take the means of.

    Returns:
        The graph with other biases; its weights stay in float32.
    """
    graph = GraphEditor(model)
    convolutions = [
        node for node in graph.nodes if node.op_type == "Conv" and graph.constant(node.input[1]) is not None
    ]
    means = _channel_means(model, {node.input[0] for node in convolutions}, list(tensors))
    for node in convolutions:
        weights = np.asarray(graph.constant(node.input[1]), np.float32)
        error = (_rounded(weights) - weights).sum(axis=(2, 3))  # (out, in / groups)
        groups = attributes(node).get("group", 1)
        inputs = np.repeat(means[node.input[0]].reshape(groups, -1), len(error) // groups, axis=0)
        bias = graph.constant(node.input[2]) if len(node.input) > 2 else np.zeros(len(error), np.float32)
        if bias is None:
            continue  # computed within the graph
        corrected = (bias - (error * inputs).sum(axis=1)).astype(np.float32)
        node.input[2:] = [graph.add_constant(f"{node.output[0]}/corrected_bias", corrected)]
    return graph.result()


def _rounded(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights (out, ...) as 8 bits give them back."""
    largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    step = np.maximum(largest, _NO_RANGE) / _STEPS
    rounded: NDArray[np.float32] = (np.round(weights / step) * step).astype(np.float32)
    return rounded


def _channel_means(
    model: onnx.ModelProto, names: set[str], tensors: list[NDArray[np.float32]]
) -> dict[str, NDArray[np.floating]]:
    """Mean of each channel of these tensors over some inputs."""
    computed = sorted(names - {INPUT})
    sums: dict[str, NDArray[np.floating]] = defaultdict(lambda: np.zeros(1))
    for tensor, values in zip(tensors, run_with_outputs(model, computed, tensors), strict=True):
        for name, value in zip((INPUT, *computed), (tensor, *values), strict=True):
            sums[name] = sums[name] + value.mean(axis=(0, 2, 3), dtype=np.float64)
    return {name: total / len(tensors) for name, total in sums.items()}
