"""Token ids: limits keep the end token, counts are the neutral counter's."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from core.encoders.tokens import TextTokenizer, neutral_counter, read_tokenizer
from core.errors import EncoderLoadError, EncoderUnavailableError, InvalidSettingError
from tests.data import ROOT
from tests.encoders.tiny import END_TOKEN, WORDS, tiny_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

SEA, OLD = 9, 10  # places of "sea" and "old" in the vocabulary


def test_a_cut_text_keeps_its_end_token() -> None:
    for tokenizer in (tiny_tokenizer(appends_end=True), tiny_tokenizer()):
        texts = TextTokenizer(tokenizer, end_token=END_TOKEN)
        (cut,) = texts.encode(["sea old sea old sea"], max_tokens=3)
        assert cut.ids == (SEA, OLD, END_TOKEN)
        assert cut.total == 6
        assert cut.offsets == ((0, 3), (4, 7), (-1, -1))
        assert texts.special_tokens == 1


def test_without_an_end_token_nothing_is_added() -> None:
    texts = TextTokenizer(tiny_tokenizer())
    assert texts.encode(["sea old"], max_tokens=9)[0].ids == (SEA, OLD)
    assert texts.special_tokens == 0


def test_berts_frame_survives_a_cut() -> None:
    texts = TextTokenizer(tiny_tokenizer(wraps=True))
    (cut,) = texts.encode(["sea old sea"], max_tokens=4)
    assert cut.ids == (2, SEA, OLD, 3)
    assert texts.encode([""], max_tokens=4)[0].ids == (2, 3)


def test_a_text_without_tokens_is_the_stand_in() -> None:
    texts = TextTokenizer(tiny_tokenizer(), empty_token=7)
    (empty,) = texts.encode([""], max_tokens=4)
    assert (empty.ids, empty.offsets, empty.total) == ((7,), ((-1, -1),), 1)


def test_a_limit_without_room_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="no room"):
        TextTokenizer(tiny_tokenizer(wraps=True)).encode(["sea"], max_tokens=2)


def test_the_tokenizers_own_truncation_and_padding_are_off() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=8)
    assert TextTokenizer(tokenizer).encode(["sea old sea"], max_tokens=9)[0].ids == (SEA, OLD, SEA)


def test_the_digest_changes_with_what_is_added() -> None:
    plain = TextTokenizer(tiny_tokenizer()).digest
    assert plain == TextTokenizer(tiny_tokenizer()).digest
    assert plain != TextTokenizer(tiny_tokenizer(), end_token=END_TOKEN).digest


def test_a_tokenizer_that_rewrites_when_adding_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> <end>", special_tokens=[("<s>", 2), ("<end>", 3)]
    )
    with pytest.raises(EncoderLoadError, match="changes a text"):
        TextTokenizer(tokenizer)


@given(st.lists(st.sampled_from(WORDS), max_size=30), st.integers(2, 12))
def test_any_limit_keeps_a_beginning(words: list[str], limit: int) -> None:
    texts = TextTokenizer(tiny_tokenizer(), end_token=END_TOKEN)
    text = " ".join(words)
    (cut,) = texts.encode([text], max_tokens=limit)
    (whole,) = texts.encode([text], max_tokens=99)
    assert len(cut.ids) == min(limit, whole.total)
    assert cut.ids == (*whole.ids[: len(cut.ids) - 1], END_TOKEN)
    assert cut.total == whole.total == len(words) + 1


def write_assets(root: Path) -> Path:
    folder = root / "encoders" / "pair"
    folder.mkdir(parents=True)
    tiny_tokenizer(appends_end=True).save(str(folder / "tokenizer.json"))
    return root


def test_the_neutral_counter_counts_a_texts_own_tokens(tmp_path: Path) -> None:
    count = neutral_counter(write_assets(tmp_path))
    assert list(count(["sea old", "", "sea", "\ud800"])) == [2, 0, 1, 1]


def test_the_neutral_counter_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match="no bundled tokenizer"):
        neutral_counter(tmp_path)
    folder = tmp_path / "encoders" / "x"
    folder.mkdir(parents=True)
    with pytest.raises(EncoderUnavailableError, match="missing"):
        neutral_counter(tmp_path, folder="x")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(EncoderLoadError, match="is not a tokenizer"):
        read_tokenizer(folder / "tokenizer.json")


def test_specs_pairs_and_counts_need_no_torch() -> None:
    code = (
        "import sys, core.encoders.registry, core.encoders.spec, core.encoders.tokens, "
        "tests.encoders.fake; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_byte_level_offsets_and_pieces_are_the_callers_characters() -> None:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {mark: place for place, mark in enumerate(sorted(alphabet))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = TextTokenizer(tokenizer)
    (found,) = texts.encode(["aß"], max_tokens=9)
    assert found.offsets == ((0, 1), (1, 2), (1, 2))  # ß is two bytes, one character
    assert texts.piece(found.ids[1], "aß", found.offsets[1]) == "ß"


def test_composed_accents_and_look_alikes_give_the_same_tokens() -> None:
    texts = TextTokenizer(tiny_tokenizer())
    plain, wide = texts.encode(["sea old", "\uff53\uff45\uff41 old"], max_tokens=9)
    assert plain == wide  # offsets too: one character stands for one


def test_letters_that_a_tokenizer_spells_are_counted_and_single_letters_are_not() -> None:
    texts = TextTokenizer(tiny_tokenizer())
    assert texts.strange("sea old") == 0.0
    assert texts.strange("sea a b 12 \u00b5") == 0.0
    assert texts.strange("sea xyzxyz") == pytest.approx(6 / 9)  # a word of the unknown token
    assert texts.strange("") == texts.strange("12, 34") == 0.0


@pytest.mark.parametrize(
    ("text", "hardly"),
    [
        ("why did the ice become quieter in the last winter", False),
        ("pourquoi la glace est-elle devenue plus silencieuse", False),
        ("Wann war die \u00dcberflutung gr\u00f6\u00dfer als \u00fcblich?", False),
        ("WHY IS C6H12O6 = E mc^2 IN def foo(x)", False),
        (
            "\u043f\u043e\u0447\u0435\u043c\u0443 \u043b\u0451\u0434 \u0441\u0442\u0430\u043b \u0442\u0438\u0448\u0435",
            True,
        ),
        (
            "\u4e3a\u4ec0\u4e48\u53bb\u5e74\u51ac\u5929\u51b0\u53d8\u5f97\u66f4\u5b89\u9759\u4e86",
            True,
        ),
        (
            "\u0644\u0645\u0627\u0630\u0627 \u0623\u0635\u0628\u062d \u0627\u0644\u062c\u0644\u064a\u062f",
            True,
        ),
    ],
)
def test_the_bundled_tokenizer_hardly_knows_other_scripts(text: str, hardly: bool) -> None:
    (path,) = (ROOT / "assets" / "encoders").glob("*/tokenizer.json")
    assert (TextTokenizer(read_tokenizer(path)).strange(text) > 0.5) is hardly
