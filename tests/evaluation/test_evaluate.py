from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.encoders.spec import TextKind
from core.errors import StoppedError, UsageError
from core.evaluation.evaluate import evaluate_beir
from core.evaluation.measures import MEASURES
from core.evaluation.render import to_fields, to_text, write_results
from core.monitor import Progress
from core.records import Unit
from core.store.workspace import Workspace
from tests.data import shared_data
from tests.encoders.fake import FakeEncoder, fake_spec
from tests.evaluation.folders import ANIMALS, fake_pair, write_folder

if TYPE_CHECKING:
    from pathlib import Path

    from core.evaluation.records import Evaluation

# shared/data/README.md: nDCG@10 of bm25s with its defaults
BM25_FIGURES = {"scitldr_test": 0.843, "scifact": 0.662, "stacks_lemma_refs": 0.267}


def ranked(evaluation: Evaluation, system_id: str) -> dict[str, tuple[str, ...]]:
    system = evaluation.whole.system(system_id)
    assert system is not None
    return {ranking.query_id: ranking.passage_ids for ranking in system.rankings}


def test_every_system_is_measured(tmp_path: Path) -> None:
    evaluation = evaluate_beir(write_folder(tmp_path / "animals"), fake_pair())
    assert [(one.system_id, one.family.value) for one in evaluation.whole.systems] == [
        ("fake-diffusion", "diffusion"),
        ("fake-causal", "autoregressive"),
        ("bm25", "lexical"),
        ("rrf", "fusion"),
    ]
    assert evaluation.pair == ("fake-diffusion", "fake-causal")
    assert (evaluation.whole.queries, evaluation.whole.passages) == (3, 5)
    bm25 = evaluation.whole.system("bm25")
    assert bm25 is not None
    # Every question shares its words with its own animal, so BM25 has each at the top.
    assert bm25.measures["MRR@10"].value == 1.0


def test_queries_on_the_same_document_are_counted_as_one_cluster(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        queries={"q1": "who barks", "q2": "who is loud at night", "q3": "who purrs"},
        qrels={"q1": {"dog": 1}, "q2": {"dog": 1}, "q3": {"cat": 1}},
    )
    evaluation = evaluate_beir(folder, fake_pair())
    assert evaluation.whole.clusters.tolist() == [0, 0, 1]
    assert to_fields(evaluation)["clusters"] == 2
    assert "3 queries in 2 clusters, 5 documents" in to_text(evaluation)


def test_dense_ranking_is_the_inner_product_sorted(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    encoder = fake_pair()[0]
    evaluation = evaluate_beir(folder, [encoder])
    texts = [f"{title} {text}" for title, text in ANIMALS.values()]
    passages = encoder.encode(texts, kind=TextKind.PASSAGE)
    query = encoder.encode(["who barks at the postman"], kind=TextKind.QUERY)[0]
    expected = np.array(list(ANIMALS))[np.argsort(-(passages @ query), kind="stable")]
    assert ranked(evaluation, "fake-diffusion")["q1"] == tuple(expected)


def test_the_same_encoder_on_both_sides_shows_no_difference(tmp_path: Path) -> None:
    encoder = fake_pair()[0]
    evaluation = evaluate_beir(write_folder(tmp_path), [encoder, encoder])
    assert evaluation.pair == ("fake-diffusion", "fake-diffusion#2")
    for difference in evaluation.whole.difference.values():
        assert (difference.value, difference.low, difference.p_value) == (0.0, None, 1.0)


def test_encoders_are_found_by_family_in_any_order(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    diffusion, causal = fake_pair()
    forth = evaluate_beir(folder, [diffusion, causal])
    back = evaluate_beir(folder, [causal, diffusion])
    assert back.pair == forth.pair
    assert back.whole.difference == forth.whole.difference


def test_swapping_which_is_called_what_mirrors_the_difference(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    weak = FakeEncoder(fake_spec(encoder_id="weak", dimension=3))
    strong = FakeEncoder(fake_spec(encoder_id="strong", dimension=512))
    forth = evaluate_beir(folder, [weak, strong]).whole.difference
    back = evaluate_beir(folder, [strong, weak]).whole.difference
    assert any(forth[name].value for name in MEASURES)  # the premise: they do differ
    for name in MEASURES:
        assert forth[name].value == pytest.approx(-back[name].value)
        assert forth[name].p_value == back[name].p_value


def test_the_order_of_the_corpus_file_changes_nothing(tmp_path: Path) -> None:
    forth = evaluate_beir(write_folder(tmp_path / "x"), fake_pair())
    backwards = dict(reversed(ANIMALS.items()))
    back = evaluate_beir(write_folder(tmp_path / "y" / "x", documents=backwards), fake_pair())
    for system in forth.whole.systems:
        assert ranked(forth, system.system_id) == ranked(back, system.system_id)


def test_an_irrelevant_document_changes_no_relative_order(tmp_path: Path) -> None:
    before = evaluate_beir(write_folder(tmp_path / "x"), fake_pair())
    more = ANIMALS | {"zzz": ("Quartz", "Feldspar basalt granite.")}
    after = evaluate_beir(write_folder(tmp_path / "y", documents=more), fake_pair())
    for encoder in ("fake-diffusion", "fake-causal"):
        for query_id, ids in ranked(before, encoder).items():
            kept = tuple(one for one in ranked(after, encoder)[query_id] if one != "zzz")
            assert kept == ids


def test_a_document_that_is_the_query_itself_is_left_out(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path, queries={"cat": "the cat sleeps on the mat"}, qrels={"cat": {"dog": 1}}
    )
    evaluation = evaluate_beir(folder, fake_pair())
    for system in evaluation.whole.systems:
        assert "cat" not in ranked(evaluation, system.system_id)["cat"]


def test_vectors_are_kept_and_a_second_run_embeds_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "animals")
    pair = fake_pair()
    with Workspace.open(tmp_path / "cache") as workspace:
        first = evaluate_beir(folder, pair, workspace=workspace)
        assert [encoder.encoded_texts for encoder in pair] == [8, 8]  # 5 documents, 3 queries
        second = evaluate_beir(folder, pair, workspace=workspace)
        assert [encoder.encoded_texts for encoder in pair] == [8, 8]
    assert ranked(first, "fake-causal") == ranked(second, "fake-causal")
    without = evaluate_beir(folder, fake_pair())
    assert to_fields(without)["systems"] == to_fields(second)["systems"]


def test_lengths_are_measured_on_their_own_documents(tmp_path: Path) -> None:
    # Who stands where differs, so a vector of the other length would be the wrong one.
    names = {256: ("ann", "bob", "cid"), 512: ("bob", "cid", "ann")}
    documents = {
        f"key_{length}_{number}": ("", f"The key of {name} is {length} {number}.")
        for length in names
        for number, name in enumerate(names[length])
    }
    queries = {f"q_{length}": "what is the key of bob" for length in (256, 512)}
    qrels = {f"q_{length}": {f"key_{length}_{names[length].index('bob')}": 1} for length in names}
    folder = write_folder(
        tmp_path,
        documents=documents,
        queries=queries,
        qrels=qrels,
        lengths={length: {f"q_{length}": qrels[f"q_{length}"]} for length in (256, 512)},
    )
    evaluation = evaluate_beir(folder, fake_pair())
    assert [(one.length, one.queries, one.passages) for one in evaluation.lengths] == [
        (256, 1, 3),
        (512, 1, 3),
    ]
    for part in evaluation.lengths:
        for system in part.systems:
            assert system.measures["MRR@10"].value == 1.0
            for ranking in system.rankings:
                assert all(f"_{part.length}_" in one for one in ranking.passage_ids)
    # Over the whole corpus the other length's key comes in between.
    assert evaluation.whole.system("bm25").measures["MRR@10"].value < 1.0  # type: ignore[union-attr]


def test_passages_stand_for_their_documents(tmp_path: Path) -> None:
    # A long document whose last sentence answers; whole, the answer drowns or is cut off.
    filler = " ".join(f"Filler number {number} says nothing at all." for number in range(400))
    documents = {
        "late": ("", f"{filler} The postman fears the zebra."),
        "other": ("", f"{filler} Nothing else."),
    }
    folder = write_folder(
        tmp_path,
        documents=documents,
        queries={"q": "the postman fears the zebra"},
        qrels={"q": {"late": 1}},
    )
    passages = evaluate_beir(folder, fake_pair(), unit=Unit.PASSAGE)
    assert passages.whole.passages == 2
    assert "2 documents were cut into" in passages.notes[0]
    assert ranked(passages, "fake-causal")["q"] == ("late", "other")
    assert not any("cut at" in note for note in passages.notes)
    whole = evaluate_beir(folder, fake_pair(), unit=Unit.DOCUMENT)
    assert "fake-causal was cut at 512 tokens on 100 % of the texts." in whole.notes
    assert whole.cut_share == {"fake-diffusion": 1.0, "fake-causal": 1.0}


def test_the_share_that_was_cut_is_exact_for_sparse_text_too(tmp_path: Path) -> None:
    # At 4 tokens a head of 64 characters is looked at first.
    documents = {
        "dense": ("", "a b c d e f g h"),  # 8 tokens
        "short": ("", "a b c"),
        "sparse": ("", "a" + " " * 100 + "b c d e"),  # 5 tokens, one in the first 64 characters
        "blank": ("", "a" + " " * 100 + "b"),
    }
    folder = write_folder(
        tmp_path, documents=documents, queries={"q": "a"}, qrels={"q": {"dense": 1}}
    )
    evaluation = evaluate_beir(folder, fake_pair(max_tokens=4))
    assert evaluation.cut_share["fake-causal"] == 0.5


def test_short_documents_stay_whole_as_passages(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    passages = evaluate_beir(folder, fake_pair(), unit=Unit.PASSAGE)
    documents = evaluate_beir(folder, fake_pair(), unit=Unit.DOCUMENT)
    assert to_fields(passages)["systems"] == to_fields(documents)["systems"]
    assert passages.notes == ()


def test_json_has_the_shape_that_other_tools_read(tmp_path: Path) -> None:
    path = tmp_path / "out" / "animals.json"
    evaluation = evaluate_beir(write_folder(tmp_path / "animals"), fake_pair())
    write_results(evaluation, json_path=path, runs_folder=tmp_path / "runs")
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert fields["dataset"] == "animals"
    assert fields["unit"] == "document"
    assert (fields["queries"], fields["passages"]) == (3, 5)
    assert fields["seconds"] > 0
    for system in fields["systems"]:
        assert set(system) == {"id", "family", "measures"}
        assert set(system["measures"]) == set(MEASURES)
        for interval in system["measures"].values():
            assert set(interval) == {"value", "low", "high", "withheld"}
            assert (interval["low"], interval["withheld"]) == (None, "3 queries cannot have one")
    for difference in fields["difference"].values():
        assert set(difference) == {"value", "low", "high", "withheld", "p_value"}
    assert sorted(one.name for one in (tmp_path / "runs").iterdir()) == [
        "bm25.trec",
        "fake-causal.trec",
        "fake-diffusion.trec",
        "rrf.trec",
    ]


def test_the_table_names_systems_figures_and_the_sample(tmp_path: Path) -> None:
    text = to_text(evaluate_beir(write_folder(tmp_path / "animals"), fake_pair(), sample=4, seed=3))
    assert "animals: 3 queries, 4 documents" in text
    assert "Sample: 4 of 5 documents (4 relevant and 0 others drawn with seed 3)" in text
    for word in (*MEASURES, "bm25", "rrf", "difference", "p (Holm)"):
        assert word in text
    assert "fake-diffusion minus fake-causal" in text


def test_lexical_alone_is_measured_without_encoders(tmp_path: Path) -> None:
    evaluation = evaluate_beir(write_folder(tmp_path), [])
    assert [one.system_id for one in evaluation.whole.systems] == ["bm25"]
    assert evaluation.pair is None
    assert to_fields(evaluation)["difference"] == {}
    assert "difference" not in to_text(evaluation)


def test_stop_stops(tmp_path: Path) -> None:
    class Stopper:
        def report(self, progress: Progress) -> None:
            pass

        def stop_requested(self) -> bool:
            return True

    with pytest.raises(StoppedError):
        evaluate_beir(write_folder(tmp_path), fake_pair(), monitor=Stopper())


def test_reserved_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be called 'bm25'"):
        evaluate_beir(write_folder(tmp_path), [FakeEncoder(fake_spec(encoder_id="bm25"))])


def test_bm25_has_the_published_figure_on_theoremqa_theorems() -> None:
    folder = shared_data() / "eval" / "theoremqa_theorems"
    if not folder.is_dir():
        pytest.skip("theoremqa_theorems is not among the shared data")
    measures = evaluate_beir(folder, []).whole.systems[0].measures
    assert measures["nDCG@10"].value == pytest.approx(0.560, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BM25_FIGURES))
def test_bm25_has_the_published_figures(name: str) -> None:
    folder = shared_data() / "eval" / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not among the shared data")
    measures = evaluate_beir(folder, []).whole.systems[0].measures
    assert measures["nDCG@10"].value == pytest.approx(BM25_FIGURES[name], abs=0.005)
