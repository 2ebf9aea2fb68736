from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.codec import from_json, to_json
from core.encoders.spec import Attention
from core.errors import EncoderError, LaboratoryError
from core.experiments.context import IndexedEncoder
from core.experiments.last_sentence import LastSentenceEdit, edit_last_sentence
from core.search.background import Background
from tests.experiments.stand_in import SPEC, WordEncoder, spec_b

if TYPE_CHECKING:
    from core.encoders.spec import Encoder

TEXT = "The gates were closed. The flood came in April. The bread was hot."


def _indexed(encoder: Encoder) -> IndexedEncoder:
    return IndexedEncoder(encoder, np.zeros((0, 8), np.float32), Background.from_scores([]))


def _words() -> tuple[IndexedEncoder, IndexedEncoder]:
    return _indexed(WordEncoder(mix=0.5)), _indexed(WordEncoder(spec_b(), mix=0.5))


def test_forward_reading_leaves_every_earlier_token_where_it_was() -> None:
    found = edit_last_sentence(_words(), TEXT)
    assert found.b.unmoved
    assert {token.change for token in found.b.strip} == {0.0}
    assert "not one of 9 earlier tokens moved; it reads forward only" in found.summary[1]
    assert not found.a.unmoved
    assert all(token.change > 0 for token in found.a.strip)
    assert "it reads in both directions" in found.summary[0]


def test_the_strip_ends_where_the_edit_begins() -> None:
    found = edit_last_sentence(_words(), TEXT, replacement="The cake was hot.")
    assert found.edit_start == TEXT.index("The bread")
    assert [token.token for token in found.a.strip][-1] == "April"
    assert found.before == TEXT
    assert found.after == "The gates were closed. The flood came in April. The cake was hot."
    assert (found.removed, found.added) == ("The bread was hot.", "The cake was hot.")


def test_change_by_hand() -> None:
    # two tokens, mix 1: "gate. bread" -> state of gate is gate + bread, then gate + flood:
    # cosine 1/2 between them
    encoders = (_indexed(WordEncoder(mix=1.0)), _indexed(WordEncoder(spec_b(), mix=1.0)))
    found = edit_last_sentence(encoders, "Gate. Bread.", replacement="Flood.")
    assert found.a.strip[0].change == pytest.approx(0.5)
    assert found.a.sentences[0].change == pytest.approx(0.5)
    assert found.b.largest == 0.0


def test_both_encoders_can_be_read_one_way() -> None:
    found = edit_last_sentence(_words(), TEXT, attention=Attention.CAUSAL)
    assert (found.a.attention, found.a.unmoved) == (Attention.CAUSAL, True)
    back = edit_last_sentence(_words(), TEXT, attention=Attention.BACKWARD)
    assert not back.b.unmoved
    assert "backward only" in back.summary[1]


@pytest.mark.parametrize(
    ("text", "replacement", "words"),
    [
        ("The gates were closed.", "None.", "one sentence"),
        ("· · ·", "None.", "no readable text"),
        (TEXT, "The bread was hot.", "the old one"),
        (TEXT, " ", "Write a sentence"),
    ],
)
def test_what_cannot_be_edited_gets_a_sentence(text: str, replacement: str, words: str) -> None:
    with pytest.raises(LaboratoryError, match=words):
        edit_last_sentence(_words(), text, replacement=replacement)


def test_one_failing_encoder_leaves_the_other() -> None:
    class Broken(WordEncoder):
        def trace(self, texts, *, kind, attention=None):  # type: ignore[no-untyped-def, explicit-override]
            raise RuntimeError("out of memory")

    found = edit_last_sentence((_indexed(Broken()), _words()[1]), TEXT)
    assert "Words A failed on a text" in found.a.problem
    assert found.b.unmoved
    with pytest.raises(EncoderError, match="Words A failed"):
        edit_last_sentence((_indexed(Broken()), _indexed(Broken(spec_b()))), TEXT)


def test_the_picture_survives_json() -> None:
    found = edit_last_sentence(_words(), TEXT)
    assert from_json(LastSentenceEdit, to_json(found)) == found


@pytest.mark.parametrize(
    "replacement", ["The old glass storm.", "Wind.", "A storm broke the glass, the old glass."]
)
def test_a_real_causal_backbone_is_exactly_unmoved_and_a_bidirectional_one_is_not(
    tiny_encoders: tuple[IndexedEncoder, IndexedEncoder], replacement: str
) -> None:
    text = "The old harbour wind. A storm at the harbour. The wind broke the old glass."
    found = edit_last_sentence(tiny_encoders, text, replacement=replacement)
    assert found.b.attention is Attention.CAUSAL
    assert len(found.b.strip) > 5
    assert found.b.largest == 0.0  # exactly: no tolerance
    assert found.b.unmoved
    assert found.a.attention is Attention.BIDIRECTIONAL
    assert all(token.change > 0 for token in found.a.strip if token.start >= 0)


@pytest.mark.parametrize("edit", ["extension", "prefix"])
@pytest.mark.parametrize("kind", ["word", "real"])
def test_the_old_sentence_with_more_or_less_behind_it_is_an_edit_like_any_other(
    kind: str, edit: str, tiny_encoders: tuple[IndexedEncoder, IndexedEncoder]
) -> None:
    encoders = tiny_encoders if kind == "real" else _words()
    one, more, less = (
        ("The old harbour wind. The wind broke the old glass.", " A storm.", "The wind broke")
        if kind == "real"
        else (TEXT, " The music was the law.", "The bread")
    )
    last = one[one.rindex(". ") + 2 :]
    found = edit_last_sentence(
        encoders, one, replacement=last + more if edit == "extension" else less
    )
    # reading ahead sees every word that follows; reading forward only sees none
    assert all(token.change > 0 for token in found.a.strip if token.start >= 0)
    assert not found.a.unmoved
    assert found.b.unmoved
    assert "both directions" in found.summary[0]


def test_an_edit_beyond_the_limit_is_refused_and_not_called_unmoved() -> None:
    # 13 words, the edit from the 10th on; A reads 9
    short = WordEncoder(replace(SPEC, max_tokens=9), mix=0.5)
    found = edit_last_sentence((_indexed(short), _words()[1]), TEXT)
    assert "the edit lies beyond the 9 tokens that it reads" in found.a.problem
    assert not found.a.unmoved
    assert found.b.unmoved
    assert found.summary[0].startswith("Nothing to show for Words A: Words A gets the same tokens")
    # other marks, the same words: the stand-in's tokens are words alone
    with pytest.raises(EncoderError, match="writes both sentences alike"):
        edit_last_sentence(_words(), TEXT, replacement="The bread was hot!")


def test_the_same_weights_move_or_not_by_their_mask_alone(
    tiny_encoders: tuple[IndexedEncoder, IndexedEncoder],
) -> None:
    text = "The old harbour wind. A storm at the harbour. The wind broke the old glass."
    causal = edit_last_sentence(tiny_encoders, text, attention=Attention.CAUSAL)
    full = edit_last_sentence(tiny_encoders, text, attention=Attention.BIDIRECTIONAL)
    assert causal.a.largest == causal.b.largest == 0.0
    assert full.a.largest > 0
    assert full.b.largest > 0
