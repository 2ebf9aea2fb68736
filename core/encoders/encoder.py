"""Texts to embeddings: tokenizer, backbone and readout joined, with an account of their input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from core.encoders.backbone import Backbone, StateBlock
from core.encoders.pooling import TokenReadout, pool
from core.encoders.spec import Attention, EncoderSpec, TextKind, TokenTrace
from core.encoders.tokens import TextTokenizer, TokenisedText
from core.errors import EncodingError, InvalidSettingError
from core.monitor import Monitor, Progress, SilentMonitor, raise_if_stopped
from core.records import ReceivedText
from core.settings import OutputType

INSTRUCTION = "{instruction}"
_FINGERPRINT_FORMAT = 1
_TOKEN_BUDGET_CPU = 2048
_TOKEN_BUDGET_DEVICE = 32_768
_TEXTS_AT_ONCE = 4096  # tokenised together, so that memory stays flat however many there are
_QUOTED_CHARS = 60


@dataclass(frozen=True, slots=True, eq=False)
class EncoderOptions:
    """Options of an encoder; all of them are part of its fingerprint."""

    max_tokens: int = 0  # most tokens that enter the backbone; 0 keeps the spec's limit
    query_instruction: str = (
        ""  # replaces ``{instruction}`` in prompts; "" keeps the spec's default
    )
    output: OutputType = OutputType.FLOAT  # quantisation of the embedding
    dimension: int = 0  # leading dimensions to keep (Matryoshka); 0 keeps all
    # ``(dim,)`` mean to subtract from pooled states (raw language models), or None
    centre: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class LoadedEncoder:
    """An encoder in memory; see `core.encoders.spec.Encoder` for its contract.

    Raises:
        InvalidSettingError: If an option cannot work with this encoder.
    """

    spec: EncoderSpec  # its description
    backbone: Backbone  # the network, its attention proven already
    readout: TokenReadout  # token states to embedding, on the backbone's device
    tokenizer: TextTokenizer  # strings to ids
    weights_digest: str  # hash of everything stored: weights, adapter, readout
    options: EncoderOptions = field(default_factory=EncoderOptions)  # of the user

    def __post_init__(self) -> None:
        """Refuse options that cannot work."""
        width, centre = self.readout.dimension, self.options.centre
        if not 0 <= self.options.dimension <= width:
            raise InvalidSettingError(
                f"{self.spec.label} has {width} dimensions; {self.options.dimension} cannot be "
                f"kept. Choose from 1 to {width}."
            )
        if centre is not None and centre.shape != (width,):
            raise InvalidSettingError(
                f"The centre has shape {centre.shape}, the embedding ({width},)."
            )

    @property
    def device(self) -> str:
        """Where it runs: ``cpu``, ``cuda:0``, ``mps``."""
        return self.backbone.device

    @property
    def dimension(self) -> int:
        """Length of the embeddings, after any cut."""
        return self.options.dimension or self.readout.dimension

    @property
    def max_tokens(self) -> int:
        """The limit in force."""
        return min(self.options.max_tokens or self.spec.max_tokens, self.backbone.max_positions)

    @cached_property
    def _prompts(self) -> dict[TextKind, str]:
        instruction = self.options.query_instruction or self.spec.default_instruction
        return {
            TextKind.QUERY: self.spec.query_prompt.replace(INSTRUCTION, instruction),
            TextKind.PASSAGE: self.spec.passage_prompt.replace(INSTRUCTION, instruction),
        }

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the vectors."""
        return self._digest([self._prompts[TextKind.QUERY], self._prompts[TextKind.PASSAGE]])

    @property
    def passage_fingerprint(self) -> str:
        """The same without the query prompt: another instruction leaves passage vectors valid."""
        return self._digest([self._prompts[TextKind.PASSAGE]])

    def _digest(self, prompts: list[str]) -> str:
        centre = self.options.centre
        stated = {
            "format": _FINGERPRINT_FORMAT,
            "weights": self.weights_digest,
            "tokenizer": self.tokenizer.digest,
            "readout": type(self.readout).__name__,
            "attention": self.spec.attention.value,
            "pooling": self.spec.pooling.value,
            "pools_prompt": self.spec.pools_prompt,
            "prompts": prompts,
            "max_tokens": self.max_tokens,
            "dtype": str(self.backbone.dtype),
            "output": self.options.output.value,
            "dimension": self.dimension,
            "centre": "" if centre is None else hashlib.sha256(centre.tobytes()).hexdigest(),
        }
        if self.spec.late_chunking:  # only then, so that all other fingerprints stay what they are
            stated["late_chunking"] = True
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()

    def with_options(self, options: EncoderOptions) -> Self:
        """Return an encoder with other options that shares the weights in memory."""
        return replace(self, options=options)

    def moved(self, device: str, dtype: torch.dtype) -> LoadedEncoder:
        """Return an encoder on another device; the weights go there and this one is used up.

        Raises:
            AttentionProbeError: If attention goes another way there.
            EncoderLoadError: If it was loaded for the packed forward.
        """
        backbone = self.backbone.moved(device, dtype)
        backbone.probe(self.spec.attention, name=self.spec.label)
        return replace(self, backbone=backbone, readout=self.readout.to(device))

    def encode(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Embed texts; ``(n, dim)`` float32, unit rows, in the order given; ``(0, dim)`` for none.

        Vectors of a text differ between batches by float rounding only (below 1e-5 in float32).
        A text without a single token, such as "", is embedded as the tokenizer's padding or
        end token alone. Errors as the protocol has them.
        """
        return self._unit(self.raw_embeddings(texts, kind=kind, monitor=monitor), texts)

    def raw_embeddings(
        self, texts: Sequence[str], *, kind: TextKind, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Pooled and projected states before centring, cutting, quantising and unit length.

        Returns:
            ``(n, readout dimension)`` float32, in the order given.
        """
        raw = np.empty((len(texts), self.readout.dimension), dtype=np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = slice(start, start + _TEXTS_AT_ONCE)
            tokenised = self._tokenise(texts[part], kind)

            def embed(
                batch: Sequence[int],
                rows: NDArray[np.float32] = raw[part],
                tokenised: list[TokenisedText] = tokenised,
            ) -> None:
                for block in self._blocks(batch, tokenised, self.spec.attention):
                    places = [batch[row] for row in block.rows]
                    rows[places] = self._read_out(block, [tokenised[p] for p in places], kind)

            plan = self._plan(tokenised)
            self._run(plan, embed, monitor, done_before=start, total=len(texts))
        return raw

    def received(self, texts: Sequence[str], *, kind: TextKind) -> tuple[ReceivedText, ...]:
        """Account for each text: the string sent, tokens read and dropped."""
        return tuple(
            ReceivedText(
                self._prompts[kind] + text,
                tokenised.total,
                len(tokenised.ids),
                self.tokenizer.strange(text) if kind is TextKind.QUERY else 0.0,
            )
            for text, tokenised in zip(texts, self._tokenise(texts, kind), strict=True)
        )

    def trace(
        self, texts: Sequence[str], *, kind: TextKind, attention: Attention | None = None
    ) -> tuple[TokenTrace, ...]:
        """Follow texts token by token, with the attention of the spec or another one.

        ``unit(weights @ states)`` is what `encode` returns, quantised outputs excepted: they are
        made from that sum and are not linear in it.
        """
        tokenised = self._tokenise(texts, kind)
        traces: list[TokenTrace | None] = [None] * len(texts)

        def follow(batch: Sequence[int]) -> None:
            for block in self._blocks(batch, tokenised, attention or self.spec.attention):
                with torch.inference_mode():
                    shares = self._shares(
                        block, [tokenised[batch[row]] for row in block.rows], kind
                    )
                    states = self.readout.project(self.readout.normalised(block.states))
                states_np, shares_np = states.cpu().numpy(), shares.cpu().numpy()
                for place, row in enumerate(block.rows):
                    text = batch[row]
                    count = len(tokenised[text].ids)
                    traces[text] = self._token_trace(
                        texts[text],
                        tokenised[text],
                        kind,
                        states_np[place, :count],
                        shares_np[place, :count],
                    )

        self._run(self._plan(tokenised), follow, None)
        return tuple(trace for trace in traces if trace is not None)

    def encode_spans(
        self, text: str, spans: Sequence[tuple[int, int]], *, monitor: Monitor | None = None
    ) -> NDArray[np.float32]:
        """Embed half-open character ranges of one text in its light: late chunking.

        The whole text goes through the backbone once, then each range is pooled over its tokens.
        Where the text is longer than the encoder's limit, reading starts afresh at the first range
        that does not fit, so each range is read with as much of what precedes it as its own window
        holds.

        Returns:
            ``(len(spans), dim)`` float32, unit rows, in the order given.

        Raises:
            EncodingError: If a range is outside the text, longer than a window or not finite.
        """
        raw = np.empty((len(spans), self.readout.dimension), dtype=np.float32)
        for begin, inside in self.span_windows(text, spans):

            def work(batch: Sequence[int], begin: int = begin) -> None:
                raw[list(batch)] = self._window(text[begin:], [spans[p] for p in batch], begin)

            self._run([inside], work, monitor)
        return self._unit(raw, [text[start:end] for start, end in spans])

    def span_windows(
        self, text: str, spans: Sequence[tuple[int, int]]
    ) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Return first character and positions in ``spans`` of each window that `encode_spans` reads.

        ``encode_spans(text[begin:], ...)`` of one window's ranges, moved by ``begin``, gives the
        same embeddings as the whole call, so a long document can be done a window at a time.

        Raises:
            EncodingError: If a range is outside the text or longer than a window.
        """
        waiting = sorted(range(len(spans)), key=lambda place: spans[place])
        for start, end in spans:
            if not 0 <= start < end <= len(text):
                raise EncodingError(
                    f"The range {start} to {end} is not inside a text of {len(text)} characters."
                )
        begin = 0
        windows: list[tuple[int, tuple[int, ...]]] = []
        while waiting:
            tokenised = self._tokenise([text[begin:]], TextKind.PASSAGE)[0]
            reach = begin + max((end for _, end in self._text_offsets(tokenised)), default=0)
            complete = tokenised.total == len(tokenised.ids)
            inside = [p for p in waiting if complete or spans[p][1] <= reach]
            if not inside:
                start, end = spans[waiting[0]]
                if start == begin:
                    raise EncodingError(
                        f"{self.spec.label} embeds passages in the light of their document and reads "
                        f"{self.max_tokens:,} tokens at once; the passage that begins "
                        f"{text[start:end][:_QUOTED_CHARS]!r} is longer. Raise its token limit or cut "
                        "shorter passages."
                    )
                begin = start
                continue
            windows.append((begin, tuple(inside)))
            done = set(inside)
            waiting = [p for p in waiting if p not in done]
            if waiting:
                begin = spans[waiting[0]][0]
        return tuple(windows)

    def _plan(self, tokenised: Sequence[TokenisedText]) -> list[list[int]]:
        """Texts that go through the network together."""
        return plan_batches(
            [len(text.ids) for text in tokenised],
            token_budget=_TOKEN_BUDGET_CPU if self.device == "cpu" else _TOKEN_BUDGET_DEVICE,
            padded=not self.backbone.is_packed,
        )

    def _tokenise(self, texts: Sequence[str], kind: TextKind) -> list[TokenisedText]:
        prompt = self._prompts[kind]
        return self.tokenizer.encode([prompt + text for text in texts], max_tokens=self.max_tokens)

    def _read_out(
        self, block: StateBlock, tokenised: Sequence[TokenisedText], kind: TextKind
    ) -> NDArray[np.float32]:
        """Raw embeddings of a block's texts, ``(rows, dimension)``."""
        with torch.inference_mode():
            shares = self._shares(block, tokenised, kind)
            pooled = pool(self.readout.normalised(block.states), shares)
            found: NDArray[np.float32] = self.readout.project(pooled).cpu().numpy()
        return found

    def _window(
        self, text: str, spans: Sequence[tuple[int, int]], begin: int
    ) -> NDArray[np.float32]:
        tokenised = self._tokenise([text], TextKind.PASSAGE)
        (block,) = self._blocks([0], tokenised, self.spec.attention)
        prompt = len(self._prompts[TextKind.PASSAGE])
        offsets = np.asarray(tokenised[0].offsets)
        own = offsets[:, 1] > prompt  # neither prompt nor special
        offsets = np.where(own[:, None], offsets - prompt + begin, -1)
        with torch.inference_mode():
            normalised = self.readout.normalised(block.states)[0]  # (length, width)
            pooled = []
            for start, end in spans:
                inside = (offsets[:, 0] < end) & (offsets[:, 1] > start)
                if not inside.any():
                    # a range without a token of its own (white space): the token before it
                    before = np.flatnonzero(offsets[:, 0] <= start)
                    inside[before[-1] if len(before) else 0] = True
                marked = torch.from_numpy(inside.astype(np.int64))[None].to(self.device)
                shares = self.readout.shares(block.token_ids, marked)
                pooled.append(pool(normalised[None], shares)[0])
            projected: NDArray[np.float32] = self.readout.project(torch.stack(pooled)).cpu().numpy()
        return projected

    def _text_offsets(self, tokenised: TokenisedText) -> list[tuple[int, int]]:
        prompt = len(self._prompts[TextKind.PASSAGE])
        return [(start - prompt, end - prompt) for start, end in tokenised.offsets if start >= 0]

    def _blocks(
        self, batch: Sequence[int], tokenised: Sequence[TokenisedText], attention: Attention
    ) -> list[StateBlock]:
        texts = [tokenised[text].ids for text in batch]
        return self.backbone.run(texts, attention=attention, layers=self.readout.layers)

    def _shares(
        self, block: StateBlock, tokenised: Sequence[TokenisedText], kind: TextKind
    ) -> torch.Tensor:
        """How much each token of a block counts, ``(rows, length)``."""
        pooled = block.attention_mask
        prompt = self._prompts[kind]
        if prompt and not self.spec.pools_prompt:
            pooled = pooled.clone()
            for place, text in enumerate(tokenised):
                own = [end > len(prompt) for _, end in text.offsets]
                if any(own):  # a prompt alone (an empty text) has to be pooled itself
                    pooled[place, : own.index(True)] = 0
        return self.readout.shares(block.token_ids, pooled)

    def _run(
        self,
        plan: Sequence[Sequence[int]],
        work: Callable[[Sequence[int]], None],
        monitor: Monitor | None,
        **of_larger: int,
    ) -> None:
        stage = f"embedding ({self.spec.label})"
        run_batches(plan, work, stage=stage, monitor=monitor, **of_larger)

    def _unit(self, raw: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
        """Centre, shorten, quantise and bring to unit length; refuse rows that are not finite."""
        if self.options.centre is not None:
            raw = raw - self.options.centre
        raw = raw[:, : self.dimension]
        if self.options.output is OutputType.INT8:
            raw = np.clip(np.round(127.0 * np.tanh(raw)), -127.0, 127.0)
        elif self.options.output is OutputType.BINARY:
            raw = np.where(raw >= 0, np.float32(1.0), np.float32(-1.0))
        norms = np.linalg.norm(raw, axis=1, keepdims=True)
        bad = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0))
        if len(bad):
            quoted = texts[int(bad[0])][:_QUOTED_CHARS]
            raise EncodingError(
                f"{self.spec.label} gave no usable vector for {len(bad)} of {len(texts)} texts, "
                f"first for the one that begins {quoted!r}. Load the encoder again; if it happens "
                "again, its weights are damaged."
            )
        return np.ascontiguousarray(raw / norms, dtype=np.float32)

    def _token_trace(
        self,
        text: str,
        tokenised: TokenisedText,
        kind: TextKind,
        states: NDArray[np.float32],
        weights: NDArray[np.float32],
    ) -> TokenTrace:
        prompt = self._prompts[kind]
        source = prompt + text
        offsets = np.full((len(tokenised.ids), 2), -1, dtype=np.int64)
        for position, (start, end) in enumerate(tokenised.offsets):
            if end > len(prompt):
                offsets[position] = max(0, start - len(prompt)), end - len(prompt)
        if self.options.centre is not None:
            states = states - self.options.centre
        return TokenTrace(
            token_ids=np.asarray(tokenised.ids, dtype=np.int64),
            tokens=tuple(
                self.tokenizer.piece(token, source, offset)
                for token, offset in zip(tokenised.ids, tokenised.offsets, strict=True)
            ),
            offsets=offsets,
            states=np.ascontiguousarray(states[:, : self.dimension], dtype=np.float32),
            weights=weights.astype(np.float32),
            tokens_dropped=tokenised.total - len(tokenised.ids),
        )


# -- batches -------------------------------------------------------------------------------


def plan_batches(
    lengths: Sequence[int], *, token_budget: int, padded: bool = True
) -> list[list[int]]:
    """Group texts of like length, longest first, so that next to nothing is padding.

    Longest first, because a batch that does not fit in memory should show at the start. A text
    longer than the budget gets a batch of its own; with ``padded`` a text costs as much as the
    longest beside it.

    Returns:
        Positions into ``lengths``; each occurs once.
    """
    order = sorted(range(len(lengths)), key=lambda position: (-lengths[position], position))
    batches: list[list[int]] = []
    cost = 0
    longest = 0
    for position in order:
        length = lengths[position]
        added = longest if padded and batches else length
        if not batches or cost + added > token_budget:
            batches.append([])
            cost, longest = 0, length
            added = length
        batches[-1].append(position)
        cost += added
    return batches


def run_batches(
    batches: Sequence[Sequence[int]],
    work: Callable[[Sequence[int]], None],
    *,
    stage: str,
    monitor: Monitor | None = None,
    done_before: int = 0,
    total: int = 0,
) -> None:
    """Run every batch, report after each, stop when asked, halve batches that exceed memory.

    ``done_before`` and ``total`` count texts of a larger job that this call is a part of.

    Raises:
        EncodingError: If one text alone does not fit.
        StoppedError: If the monitor asks to stop.
    """
    watcher = monitor or SilentMonitor()
    total = total or sum(len(batch) for batch in batches)
    waiting = [list(batch) for batch in reversed(batches)]
    most = max((len(batch) for batch in batches), default=0)
    done = done_before
    while waiting:
        raise_if_stopped(watcher)
        batch = waiting.pop()
        if len(batch) > most:
            waiting.extend(_halves(batch))
            continue
        failed = False
        try:
            work(batch)
        except RuntimeError as error:  # both CUDA's and MPS's are RuntimeErrors
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise EncodingError(
                    "One text alone does not fit in the device's memory. Lower the encoder's "
                    "token limit, choose a smaller encoder, or run on the CPU."
                ) from error
            failed = True
        # outside the except block, where the error no longer keeps the batch's tensors alive
        if failed:
            free_memory()
            most = max(1, len(batch) // 2)
            waiting.extend(_halves(batch))
            continue
        done += len(batch)
        watcher.report(Progress(stage, done, total))


def _halves(batch: list[int]) -> list[list[int]]:
    middle = (len(batch) + 1) // 2
    return [batch[middle:], batch[:middle]]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory is full."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()


def free_memory() -> None:
    """Give cached device memory back before trying again."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
