"""The map against hand-made corpora and brute force."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.codec import from_json, to_json
from core.errors import LaboratoryError, StoppedError
from core.experiments import map as maps
from core.experiments.context import Context, Corpus, Floats, IndexedEncoder
from core.experiments.map import LibraryMap, common, library_map, principal_axes, turned
from core.records import Passage
from tests.dom import parse
from tests.experiments.stand_in import WordEncoder, document, paragraphs, spec_b, word_context
from tests.monitors import StopWhenAsked


def at(*degrees: float) -> Floats:
    """Unit rows on a circle."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def unit_rows(count: int, dimension: int, seed: int) -> Floats:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def world(a: Floats, b: Floats, *, name: str = "four", text: str = "gate") -> Context:
    """A passage for every row, in order of ids."""
    doc = document(name, "\n\n".join(f"{text} {row}" for row in range(len(a))))
    none: Any = None
    return Context(
        Corpus(tuple(paragraphs(doc)), {doc.doc_id: doc.text}, {doc.doc_id: doc.name}),
        IndexedEncoder(WordEncoder(), a, none),
        IndexedEncoder(WordEncoder(spec_b()), b, none),
    )


def test_four_passages_by_hand() -> None:
    # nearest in A: p1 p2, p2 p1, p3 p4, p4 p3; in B: p1 p2, p2 p1, p3 p4, p4 p1 (60 degrees off)
    found = library_map(world(at(0, 10, 90, 100), at(0, 10, 200, 300)))
    assert found.neighbours == 1  # of the three others, ten would be all
    assert [point.shared for point in found.points] == [0, 1, 1, 1]
    fourth = found.points[0]
    assert (fourth.text, fourth.rank_a, fourth.page) == ("gate 3", 0, 1)
    assert found.shared == pytest.approx(3 / 4)
    # two dimensions hold two dimensions whole, and every neighbour in them
    for side in (found.a, found.b):
        assert [side.variance, side.kept] == pytest.approx([1, 1])
    assert found.summary[0] == (
        "Of the 1 nearest neighbours of a passage, 0.8 on average are the same for both encoders. "
        "1 passage has none in common."
    )


@pytest.mark.parametrize("seed", range(3))
def test_common_neighbours_are_those_of_brute_force(seed: int) -> None:
    a, b = unit_rows(60, 12, seed), unit_rows(60, 5, seed + 10)
    a[7] = a[3]  # the same text twice
    found = library_map(world(a, b), neighbours=4)

    def nearest(rows: Floats, own: int) -> set[int]:
        exact = rows.astype(np.float64) @ rows[own].astype(np.float64)
        others = [row for row in range(60) if row != own]
        return set(sorted(others, key=lambda row: (-exact[row], row))[:4])

    passages = {item.passage_id: row for row, item in enumerate(world(a, b).corpus.passages)}
    for point in found.points:
        row = passages[point.passage_id]
        assert point.shared == len(nearest(a, row) & nearest(b, row))
    shares = [point.shared for point in found.points]
    assert shares == sorted(shares, key=lambda share: share or 0)


def test_equal_passages_are_equal_neighbours_for_both() -> None:
    # thirty copies of one page: whoever is nearest, it is the same ones for both encoders
    a, b = unit_rows(40, 64, 1), unit_rows(40, 64, 2)
    a[:30], b[:30] = a[0], b[0]
    found = library_map(world(a, b), neighbours=8)
    copies = {item.passage_id for item in world(a, b).corpus.passages[:30]}
    assert {point.shared for point in found.points if point.passage_id in copies} == {8}


def test_principal_axes_are_those_of_a_decomposition_with_the_sign_fixed() -> None:
    rows = unit_rows(500, 16, 4) * np.linspace(3, 1, 16, dtype=np.float32)
    mean, axes, share = principal_axes(rows)
    centred = rows - rows.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    assert share == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum(), rel=1e-5)
    assert np.abs(axes.T @ directions[:2].T).round(4).tolist() == [[1, 0], [0, 1]]
    assert mean == pytest.approx(rows.mean(axis=0), abs=1e-6)
    for axis in axes.T:
        assert axis[np.abs(axis).argmax()] > 0
    # mirrored or in blocks, the library has the same axes
    assert principal_axes(-rows)[1] == pytest.approx(axes, abs=1e-6)
    assert principal_axes(rows)[1].tobytes() == axes.tobytes()


def test_axes_by_hand_and_without_any_spread() -> None:
    # three points along (3, 4) / 5: that is the axis, and nothing is left for a second one
    line = np.outer([-1, 0, 1], [0.6, 0.8, 0]).astype(np.float32)
    _, axes, share = principal_axes(line)
    assert axes[:, 0] == pytest.approx([0.6, 0.8, 0], abs=1e-6)
    assert share == pytest.approx(1)
    assert principal_axes(np.ones((4, 3), np.float32))[2] == 1
    assert library_map(world(at(5, 5, 5), at(1, 2, 3))).shared >= 0


def test_the_second_picture_is_turned_and_mirrored_but_never_stretched() -> None:
    points = np.array([[0, 0], [2, 0], [0, 1.0]])
    mirrored = points * (-1, 1)
    turn = turned(mirrored, points)
    assert mirrored @ turn == pytest.approx(points)
    assert turn @ turn.T == pytest.approx(np.eye(2))


def test_the_same_library_gives_the_same_map_in_any_order_of_encoders() -> None:
    a, b = unit_rows(50, 8, 1), unit_rows(50, 8, 2)
    one, two = library_map(world(a, b)), library_map(world(b, a))
    assert one == library_map(world(a, b))
    assert [point.shared for point in one.points] == [point.shared for point in two.points]
    assert (one.a.variance, one.b.variance) == (two.b.variance, two.a.variance)


def test_the_question_and_its_ranks() -> None:
    found = library_map(word_context(), query=" bread ")
    assert found.query == "bread"
    assert found.a.query is not None
    ranks = sorted(point.rank_a for point in found.points)
    assert ranks == list(range(1, len(found.points) + 1))
    best = next(point for point in found.points if point.rank_a == 1)
    assert "read" in best.text
    tables = parse(maps.show(found)).all("table")
    assert len(tables) == 2
    assert json.loads(attribute(found, "data-map"))["query"][0] is not None
    alone = library_map(word_context())
    assert alone.a.query is None
    assert {point.rank_a for point in alone.points} == {0}
    assert len(parse(maps.show(alone)).all("table")) == 1


def attribute(found: LibraryMap, name: str) -> str:
    (node,) = parse(maps.show(found)).all("div.map")
    return str(node.attributes[name])


def test_a_large_library_counts_for_a_sample_and_says_so(monkeypatch: Any) -> None:
    monkeypatch.setattr(maps, "PAIRS", 1000)
    found = library_map(world(unit_rows(100, 6, 1), unit_rows(100, 6, 2)))
    counted = [point.shared for point in found.points if point.shared is not None]
    assert len(counted) == found.counted == 10
    assert [point.shared is None for point in found.points] == [False] * 10 + [True] * 90
    assert "1 passage of 10 counted has none in common." in found.summary[0]
    assert "In a library of 100 passages they are counted for a sample of 10" in found.notes[0]
    assert found == library_map(world(unit_rows(100, 6, 1), unit_rows(100, 6, 2)))


def test_names_and_texts_are_escaped() -> None:
    hostile = "<img src=x onerror=alert(1)> ${alert(1)} \"' </script>"
    context = world(at(0, 10, 90, 100), at(0, 10, 200, 300), name="evil", text=hostile)
    named = replace(context.corpus, names={"devil": hostile})
    found = replace(library_map(replace(context, corpus=named)), query=hostile)
    chosen = {item.passage_id: item for item in context.corpus.passages}
    for html in (maps.show(found), maps.show_chosen(found, chosen)):
        assert "<img" not in html
        assert "</script" not in html
        assert "${" not in html
    assert json.loads(attribute(found, "data-map"))["documents"] == [["devil", hostile]]


def test_chosen_passages_are_listed_with_the_fewest_common_neighbours_first() -> None:
    context = world(at(0, 10, 90, 100), at(0, 10, 200, 300))
    found = library_map(context)
    first, *_, last = context.corpus.passages
    chosen: dict[str, Passage] = {item.passage_id: item for item in (first, last)}
    rows = parse(maps.show_chosen(found, chosen)).all("button.passage")
    assert [row.attributes["data-pid"] for row in rows] == [last.passage_id, first.passage_id]


def test_what_cannot_be_mapped_gets_a_sentence(monkeypatch: Any) -> None:
    with pytest.raises(LaboratoryError, match="three passages or more"):
        library_map(world(at(0, 1), at(0, 1)))
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(LaboratoryError, match=r'pip install "bifocal\[map\]", or choose PCA'):
        library_map(word_context(), method="umap")
    with pytest.raises(StoppedError):
        library_map(word_context(), monitor=StopWhenAsked(0))


def test_umap_is_asked_for_cosine_and_a_seed_and_keeps_no_variance(monkeypatch: Any) -> None:
    class Flattened:
        def __init__(self, **options: Any) -> None:
            assert (options["metric"], options["n_neighbors"]) == ("cosine", 3)
            assert options["random_state"] == 5

        def fit_transform(self, rows: Any) -> Any:
            return rows[:, :2]

        transform = fit_transform

    monkeypatch.setitem(sys.modules, "umap", type("umap", (), {"UMAP": Flattened}))
    found = library_map(word_context(), query="gate", method="umap", seed=5)
    assert math.isnan(found.a.variance)
    assert "distances in it and" in found.summary[1]
    assert maps.show(found)
    back = from_json(LibraryMap, to_json(found, keep_nan=True))
    assert back.points == found.points


def test_common_counts_entries_of_both_rows() -> None:
    assert common(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [4, 5]])).tolist() == [2, 1]
