"""What shorter embeddings cost: a case by hand, and the same figures as an encoder that is cut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.encoders.encoder import EncoderOptions
from core.encoders.loading import load_folder
from core.errors import InvalidSettingError
from core.evaluation.evaluate import evaluate_beir, leading
from core.evaluation.render import to_fields, to_text
from core.settings import OutputType
from tests.encoders.fake import FakeEncoder
from tests.encoders.tiny import WORDS, write_tiny_checkpoint
from tests.evaluation.folders import fake_pair, write_folder


def test_the_leading_numbers_are_brought_to_unit_length() -> None:
    rows = np.array([[0.6, 0.0, 0.8], [0.0, 0.0, 1.0]], dtype=np.float32)
    assert leading(rows, dimension=2).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert leading(rows, dimension=3) == pytest.approx(rows)


def word_folder(path: Path) -> Path:
    generator = np.random.default_rng(3)
    documents = {f"d{n:02d}": " ".join(generator.choice(WORDS, size=12)) for n in range(30)}
    queries = {f"q{n}": " ".join(documents[f"d{n:02d}"].split()[2:7]) for n in range(10)}
    return write_folder(
        path,
        documents={name: ("", text) for name, text in documents.items()},
        queries=queries,
        qrels={f"q{n}": {f"d{n:02d}": 1} for n in range(10)},
    )


def test_a_cut_system_is_the_encoder_at_that_dimension(tmp_path: Path) -> None:
    folder = word_folder(tmp_path / "set")
    checkpoint = tmp_path / "pplx"
    spec = replace(write_tiny_checkpoint("pplx-embed", checkpoint), matryoshka_dimensions=(4, 8))
    whole = load_folder(spec, checkpoint)
    plain = fake_pair()[1]
    found = evaluate_beir(folder, [whole, plain], dimensions=[8, 4])
    for size in (4, 8):
        short = whole.with_options(EncoderOptions(dimension=size))
        wanted = evaluate_beir(folder, [short, plain]).whole.system(spec.encoder_id)
        cut = found.whole.system(f"{spec.encoder_id}@{size}")
        assert wanted is not None
        assert cut is not None
        assert [r.passage_ids for r in cut.rankings] == [r.passage_ids for r in wanted.rankings]
        assert cut.measures == wanted.measures
    # cut minus uncut, and the encoders are the encoders themselves
    assert found.pair == (spec.encoder_id, plain.spec.encoder_id)
    assert [(c.system_id, c.of) for c in found.dimensions] == [
        (f"{spec.encoder_id}@{size}", spec.encoder_id) for size in (8, 4)
    ]
    full = found.whole.system(spec.encoder_id)
    for cost in found.dimensions:
        cut = found.whole.system(cost.system_id)
        assert full is not None
        assert cut is not None
        for name, one in cost.difference.items():
            lost = cut.measures[name].value - full.measures[name].value
            assert one.value == pytest.approx(lost)
    assert found.notes[-1].endswith(
        "was not trained for shorter embeddings and keeps all of its own."
    )
    fields = json.loads(json.dumps(to_fields(found)))
    assert [one["dimension"] for one in fields["dimensions"]] == [8, 4]
    assert "cut minus uncut" in to_text(found)
    assert to_fields(evaluate_beir(folder, [whole, plain]))["dimensions"] == []


def test_what_cannot_be_cut_is_refused_with_what_can(tmp_path: Path) -> None:
    folder = word_folder(tmp_path / "set")
    spec = write_tiny_checkpoint("pplx-embed", tmp_path / "pplx")
    spec = replace(spec, matryoshka_dimensions=(4, 8))
    whole = load_folder(spec, tmp_path / "pplx")
    with pytest.raises(InvalidSettingError, match=r"trained for 5 dimensions.*4, 8.*none"):
        evaluate_beir(folder, [whole, FakeEncoder(fake_pair()[1].spec)], dimensions=[8, 5])
    binary = whole.with_options(EncoderOptions(output=OutputType.BINARY))
    with pytest.raises(InvalidSettingError, match="Leave its encoder option out"):
        evaluate_beir(folder, [binary, fake_pair()[1]], dimensions=[8])
