"""Strings to token ids, with the `tokenizers` library alone: prompts, limits, end tokens, counts."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from core.errors import EncoderLoadError, EncoderUnavailableError, InvalidSettingError
from core.normal import embedding_form

TOKENIZER_FILE = "tokenizer.json"
_PROBE_TEXT = "a"
_WORD = re.compile(r"[^\W\d_]{3,}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class TokenisedText:
    """One text as the backbone gets it."""

    ids: tuple[int, ...]  # token ids, special tokens included, at most the limit, at least one
    # character range of each in the whole string; (-1, -1) for special tokens
    offsets: tuple[tuple[int, int], ...]
    total: int  # tokens it would have without a limit


class TextTokenizer:
    """A fast tokenizer that keeps its special tokens when a text is cut.

    Args:
        tokenizer: Its own truncation and padding are switched off.
        end_token: Id that must close every text (Qwen3-Embedding's 151643), or None. Added where
            the tokenizer does not do so itself, and kept when the text is cut.
        empty_token: Id that stands in for a text without a single token.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, end_token: int | None = None, empty_token: int = 0
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._empty_token = empty_token
        plain = list(tokenizer.encode(_PROBE_TEXT, add_special_tokens=False).ids)
        whole = list(tokenizer.encode(_PROBE_TEXT, add_special_tokens=True).ids)
        starts = range(len(whole) - len(plain) + 1)
        start = next((n for n in starts if whole[n : n + len(plain)] == plain), None)
        if start is None or not plain:
            raise EncoderLoadError(
                "The tokenizer changes a text when it adds special tokens; Bifocal cannot use it."
            )
        self._before = tuple(whole[:start])
        after = tuple(whole[start + len(plain) :])
        if end_token is not None and (not after or after[-1] != end_token):
            after = (*after, end_token)
        self._after = after

    @property
    def special_tokens(self) -> int:
        """Number of special tokens that every text gets."""
        return len(self._before) + len(self._after)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tokenizer and of its special tokens, hex; 30 ms of work, once."""
        stated = f"{self._tokenizer.to_str()}|{self._before}|{self._after}|{self._empty_token}"
        escaping = bool(getattr(self._tokenizer, "encode_special_tokens", False))
        return hashlib.sha256(f"{stated}|{escaping}".encode()).hexdigest()

    def encode(self, texts: Sequence[str], *, max_tokens: int) -> list[TokenisedText]:
        """Tokenise texts; those too long are truncated, their special tokens kept.

        Raises:
            InvalidSettingError: If the limit leaves no room for a text.
        """
        room = max_tokens - self.special_tokens
        if room < 1:
            raise InvalidSettingError(
                f"A limit of {max_tokens} tokens leaves no room beside {self.special_tokens} "
                "special tokens; choose a higher limit."
            )
        outside = (-1, -1)
        tokenised = []
        for encoding in self._encode_batch(texts):
            ids, offsets = encoding.ids[:room], encoding.offsets[:room]
            if not ids and not self.special_tokens:
                tokenised.append(TokenisedText((self._empty_token,), (outside,), 1))
                continue
            before, after = [outside] * len(self._before), [outside] * len(self._after)
            tokenised.append(
                TokenisedText(
                    ids=(*self._before, *ids, *self._after),
                    offsets=(*before, *offsets, *after),
                    total=len(encoding.ids) + self.special_tokens,
                )
            )
        return tokenised

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Count each text's own tokens, special ones not included."""
        return [len(encoding.ids) for encoding in self._encode_batch(texts)]

    def strange(self, text: str) -> float:
        """Share of a text's letters that the tokenizer has no piece for, 0 to 1.

        Such a letter is read in several tokens, or as the unknown one, or spelled: a token of its
        own in a word of three letters or more. Scripts that write a word in one letter (Chinese,
        Japanese, Korean) may spell. Read letter by letter, a word is no word to an encoder.
        """
        clean = embedding_form(text).encode("utf-8", "replace").decode("utf-8")
        encoding = self._tokenizer.encode(clean, add_special_tokens=False)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        unknown = None if unknown is None else self._tokenizer.token_to_id(unknown)
        tokens: Counter[int] = Counter()
        whole: set[int] = set()
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            tokens.update(range(start, end))
            if token_id != unknown:
                whole.update(range(start, end) if len(clean[start:end].strip()) > 1 else ())
        strange = letters = 0
        for word in _WORD.finditer(clean):
            for place in range(*word.span()):
                ideograph = _IDEOGRAPH.match(clean, place) is not None
                letters += 1
                known = place in whole or (ideograph and tokens[place] == 1)
                strange += tokens[place] != 1 or not known
        return strange / letters if letters else 0.0

    def piece(self, token_id: int, source: str, offset: tuple[int, int]) -> str:
        """Return a token as people can read it."""
        start, end = offset
        if 0 <= start < end:
            return source[start:end]
        return self._tokenizer.id_to_token(token_id) or ""

    def _encode_batch(self, texts: Sequence[str]) -> list[Any]:
        # lone surrogates cannot be UTF-8; PDF readers produce them now and then
        clean = [embedding_form(text).encode("utf-8", "replace").decode("utf-8") for text in texts]
        return list(self._tokenizer.encode_batch(clean, add_special_tokens=False))


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json.

    Raises:
        EncoderUnavailableError: If it is not there.
        EncoderLoadError: If the library cannot read it.
    """
    if not path.is_file():
        raise EncoderUnavailableError(
            f"{path} is missing. Reinstall Bifocal or download the checkpoint again."
        )
    try:
        return Tokenizer.from_file(str(path))
    except Exception as exc:
        raise EncoderLoadError(
            f"{path} is not a tokenizer: {exc}. Download the checkpoint again."
        ) from exc


def neutral_counter(assets: Path, *, folder: str = "") -> Callable[[Sequence[str]], Sequence[int]]:
    """Return the counter that chunking uses for every pair alike: the bundled tokenizer's.

    It gives texts their numbers of tokens, special tokens not included. No torch is needed. The
    tokenizer is read at once, so that a missing file shows here; without a ``folder`` under
    ``assets/encoders`` it is the first one there.

    Raises:
        EncoderUnavailableError: If no bundled tokenizer is there.
    """
    root = assets / "encoders"
    paths = [root / folder / TOKENIZER_FILE] if folder else sorted(root.glob(f"*/{TOKENIZER_FILE}"))
    if not paths:
        raise EncoderUnavailableError(
            f"There is no bundled tokenizer under {root}. Reinstall Bifocal."
        )
    return TextTokenizer(read_tokenizer(paths[0])).counts
