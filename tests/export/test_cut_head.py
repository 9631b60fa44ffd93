"""The head cut off: what the host decodes is what the graph decoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeloop.export.graph.cut_head import cut_head
from edgeloop.models.errors import ModelError
from tests.export.heads import check_cut, classic_graph
from tests.export.untrained import untrained_model


@pytest.mark.parametrize("size", [(96, 96), (160, 96)])
def test_the_host_decodes_what_the_graph_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    check_cut(untrained_model(tmp_path), size, bins=1)


def test_the_graph_itself_is_not_changed(tmp_path: Path) -> None:
    graph, spec = classic_graph(untrained_model(tmp_path), (96, 96))
    before = graph.SerializeToString()
    cut, _ = cut_head(graph, spec)
    assert graph.SerializeToString() == before
    assert spec.head == "classic"
    assert len(cut.graph.node) < len(graph.graph.node)


def test_a_head_that_is_no_classic_one_is_refused(tmp_path: Path) -> None:
    graph, spec = classic_graph(untrained_model(tmp_path), (96, 96))
    with pytest.raises(ModelError, match="head 'end2end': only a classic head"):
        cut_head(graph, spec.model_copy(update={"head": "end2end"}))


def test_branches_of_unknown_names_are_refused_by_their_names(tmp_path: Path) -> None:
    graph, spec = classic_graph(untrained_model(tmp_path), (96, 96))
    for node in graph.graph.node:
        node.name = node.name.replace("scores", "answers")
    with pytest.raises(ModelError, match=r"stride 8: expected a branch of boxes .*, found .*answers"):
        cut_head(graph, spec)


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    graph, spec = classic_graph(untrained_model(tmp_path), (96, 96))
    with pytest.raises(ModelError, match="stride 8: expected a branch of boxes and one of scores"):
        cut_head(graph, spec.model_copy(update={"names": ("disk", "bar", "nut")}))
