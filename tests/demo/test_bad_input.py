"""Bad input in the page's experiments: each a clear sentence in its place, nothing lost."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from typing_extensions import override

from core.encoders.spec import Attention
from core.errors import EncodingError
from core.experiments.experiment import Place
from core.experiments.registry import experiment, offered
from core.records import Family
from core.settings import OWN_ID
from demo.experiments import Experiments, wanted_findings
from tests.demo.world import make_world
from tests.encoders.fake import FakeEncoder, fake_spec

HERE = ("local", "my-documents")
LONG = " ".join(
    f"The {thing} of the {place} was mended in {year}. Why it broke nobody wrote down."
    for year, (thing, place) in enumerate(
        (
            (thing, place)
            for thing in ("gate", "lock", "weir", "pump", "wall", "mast", "road")
            for place in ("mill", "port", "town", "castle")
        ),
        start=1840,
    )
)


class Failing(FakeEncoder):
    """Runs out of memory at the first text that asks for it."""

    broken = False

    @override
    def encode(self, texts: Any, *, kind: Any, monitor: Any = None) -> Any:
        if self.broken:
            raise EncodingError("the machine ran out of memory; close other programs.")
        return super().encode(texts, kind=kind, monitor=monitor)

    @override
    def trace(self, texts: Any, *, kind: Any, attention: Any = None) -> Any:
        if self.broken and attention is not None:
            raise EncodingError("the machine ran out of memory; close other programs.")
        return super().trace(texts, kind=kind, attention=attention)


def last(stream: Any) -> Any:
    return list(stream)[-1]


class Visit:
    """Experiments over a library of the texts given, with encoders of different dimensions."""

    def __init__(self, folder: Any, texts: dict[str, str]) -> None:
        specs = (
            dataclasses.replace(
                fake_spec(encoder_id="dif", query_prompt="query: ", dimension=64), label="Blue"
            ),
            dataclasses.replace(
                fake_spec(
                    encoder_id="aut", family=Family.AUTOREGRESSIVE, attention=Attention.CAUSAL,
                    query_prompt="q ", dimension=48,
                ),
                label="Orange",
            ),
        )  # fmt: skip
        self.encoders = {spec.encoder_id: Failing(spec) for spec in specs}
        self.world = make_world(
            folder / "data", assets=folder, encoders=self.encoders, default_library_id=OWN_ID
        )
        self.handlers = self.world.handlers()
        self.handlers.libraries.arrive("")
        paths = []
        for name, text in texts.items():
            path = folder / name
            path.write_text(text, "utf-8")
            paths.append(path)
        self.handlers.indexing.upload("local", "my-documents", paths)[1].outcome()  # type: ignore[union-attr]
        self.bench = self.world.library()
        self.do = Experiments(self.handlers)

    def passage(self, words: str) -> str:
        return next(item.passage_id for item in self.bench.passages() if words in item.text)

    def everything(self, query: str, passage_id: str) -> dict[str, str]:
        """Run what the page offers on one passage; returns the last HTML of each by name."""
        doc_id = self.bench.passage(passage_id).doc_id
        given = {
            "query": query,
            "passage_id": passage_id,
            "doc_id": doc_id,
            "longest": 512,
            "copies": 2,
            "replacement": "It rained.",
        }
        shown = last(self.handlers.comparing.compare(*HERE, query))
        streams = {
            "disagree": self.do.disagree(*HERE, 20, wanted_findings()),
            "evidence": self.do.evidence("local", shown.token, passage_id),
            **{
                one.name: self.do.study(
                    *HERE,
                    shown.token,
                    one,
                    {field.name: given[field.name] for field in one.fields if field.name in given},
                )
                for one in offered(Place.LABORATORY)
            },
        }
        found = {}
        for name, stream in streams.items():
            html, running = last(stream)
            assert not running, name
            assert html, name
            assert "Traceback" not in html, name
            assert "did not expect" not in html, name  # what a bug would say
            found[name] = html
        return found


@pytest.fixture
def visit(tmp_path: Any) -> Any:
    made = []

    def start(**texts: str) -> Visit:
        made.append(Visit(tmp_path, {f"{name}.txt": text for name, text in texts.items()}))
        return made[-1]

    yield start
    for one in made:
        one.world.visitors.close()


def test_an_unreadable_passage(visit: Any) -> None:
    one = visit(good=LONG, bad="\u00b7 \u2014 \u00b7 12 \u00b7 \u2014 \u00b7")
    said = one.everything("gate", one.passage("\u2014"))
    for name in ("evidence", "last-sentence", "attention", "growing"):
        assert "no readable text" in said[name], name
        assert "OCR" in said[name]


def test_a_passage_of_one_sentence(visit: Any) -> None:
    one = visit(good=LONG, short="The ferry of the port sank in the storm of that winter")
    said = one.everything("which ferry sank", one.passage("ferry"))
    assert "one sentence, so there is none to leave out" in said["evidence"]
    # what can be done is done all the same
    assert "Without each word of the query" in said["evidence"]
    assert re.search("choose a longer passage", said["last-sentence"])
    assert "<table" in said["attention"]


def test_a_document_shorter_than_the_key(visit: Any) -> None:
    one = visit(good=LONG, short="A ferry sank.")
    said = one.everything("which ferry sank", one.passage("ferry"))
    assert "the hidden sentence alone needs" in said["hidden-key"]
    assert "choose a longer document" in said["hidden-key"]
    assert "nothing around" in said["growing"] or "no text around" in said["growing"]


def test_a_library_of_one_passage(visit: Any) -> None:
    one = visit(only="The gate was mended. The lock was not. Nobody knows why it broke.")
    said = one.everything("gate", one.passage("gate"))
    assert "one passage, which every system ranks first" in said["disagree"]
    assert "one passage, so no rank can change" in said["attention"]
    assert "its rank is 1 whatever happens" in said["evidence"]
    assert "strip" in said["last-sentence"]


def test_encoders_of_different_dimensions_and_prompts(visit: Any) -> None:
    one = visit(good=LONG, more=LONG.replace("mended", "painted"))
    said = one.everything("why did the gate of the mill break", one.passage("gate of the mill"))
    assert 'class="lead"' in one.do.verdict(*HERE)
    assert "<table" in said["evidence"]
    assert "ripple" in said["last-sentence"]
    for name in ("attention", "growing"):
        assert "<table" in said[name], name
    # the two differ in prompts and dimension, and the panel says so in words
    assert 'class="notice warn"' in said["fairness"]
    assert "64" in said["fairness"]
    assert "48" in said["fairness"]


def test_a_model_that_fails_half_way(visit: Any) -> None:
    one = visit(good=LONG, more=LONG.replace("mended", "painted"))
    passage = one.passage("gate of the mill")
    edit = experiment("last-sentence"), {"passage_id": passage, "replacement": "It rained."}
    before = last(one.do.study(*HERE, "", *edit))
    one.encoders["aut"].broken = True
    said = one.everything("why did the lock break", passage)
    for name in ("disagree", "evidence", "attention", "growing"):
        assert "ran out of memory; close other programs" in said[name], name
    # the encoder that works goes on where an experiment has a part of its own, and nothing kept is lost
    assert "Blue" in said["attention"]
    assert said["growing"].count("<svg") == 2
    assert last(one.do.study(*HERE, "", *edit)) == before
    one.encoders["aut"].broken = False
    again = one.everything("why did the lock break", passage)
    assert "ran out of memory" not in " ".join(again.values())
