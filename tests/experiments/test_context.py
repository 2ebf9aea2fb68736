import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.encoders.spec import TextKind
from core.errors import EncodingError, LaboratoryError, StoppedError
from core.experiments.context import (
    Hushed,
    each_encoder,
    encode,
    guarded,
    make_context,
    most_tokens,
    pooled,
    rank_of,
    readable,
)
from core.monitor import Progress
from tests.experiments.stand_in import (
    KITCHEN,
    RIVER,
    SPEC,
    WordEncoder,
    context_of,
    paragraphs,
    spec_b,
    word_context,
)
from tests.monitors import StopWhenDone


def test_rank_counts_better_scores_and_earlier_equals() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.1], dtype=np.float32)
    # 0.9 first, then the two 0.5 in order of their ids
    assert [rank_of(scores, row) for row in range(4)] == [2, 1, 3, 4]


def test_a_new_score_does_not_compete_with_the_old_one() -> None:
    scores = np.array([0.9, 0.5, 0.1], dtype=np.float32)
    # the first falls to 0.3: behind 0.5, before 0.1
    assert rank_of(scores, 0, 0.3) == 2
    assert rank_of(scores, 2, 0.6) == 2


def test_a_score_that_differs_by_rounding_keeps_its_rank() -> None:
    scores = np.array([0.9, 0.1, 0.5], dtype=np.float32)
    stored = float(scores[1])
    # less than half a float32 step away on either side: still the last of three
    for score in (stored - 1e-10, stored, stored + 1e-10):
        assert rank_of(scores, 1, score) == 3


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.data())
def test_rank_with_a_new_score_is_the_rank_after_writing_it(
    values: list[int], data: st.DataObject
) -> None:
    scores = np.array(values, dtype=np.float32)
    row = data.draw(st.integers(0, len(values) - 1))
    new = float(data.draw(st.integers(0, 4)))
    written = scores.copy()
    written[row] = new
    expected = sorted(range(len(values)), key=lambda place: (-written[place], place)).index(row) + 1
    assert rank_of(scores, row, new) == expected


def test_upload_order_changes_nothing() -> None:
    encoders = (WordEncoder(), WordEncoder(spec_b(), mix=0.5))
    one = context_of([RIVER, KITCHEN], encoders)
    two = context_of([KITCHEN, RIVER], encoders, order=-1)
    assert one.corpus.passages == two.corpus.passages
    np.testing.assert_array_equal(one.a.vectors, two.a.vectors)
    np.testing.assert_array_equal(one.b.background.quantiles, two.b.background.quantiles)


def test_rows_that_do_not_belong_to_the_passages_are_refused() -> None:
    passages = paragraphs(RIVER)
    rows = np.zeros((1, 8), dtype=np.float32)
    with pytest.raises(LaboratoryError, match="1 vectors for 4 passages"):
        make_context(
            passages, [RIVER], encoders=(WordEncoder(), WordEncoder()), vectors=(rows, rows)
        )


def test_an_empty_library_is_refused() -> None:
    rows = np.zeros((0, 8), dtype=np.float32)
    with pytest.raises(LaboratoryError, match="no passages"):
        make_context([], [], encoders=(WordEncoder(), WordEncoder()), vectors=(rows, rows))


def test_encode_gives_nothing_for_nothing() -> None:
    assert encode(WordEncoder(), [], kind=TextKind.PASSAGE).shape == (0, 8)


def test_a_failing_encoder_is_named() -> None:
    with pytest.raises(EncodingError, match="Words A failed: the machine ran out of memory"):
        encode(WordEncoder(fails_after=0), ["gate"], kind=TextKind.QUERY)


def test_an_unexpected_failure_becomes_an_encoder_error_too() -> None:
    def broken() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(EncodingError, match=r"Words A failed on a text \(RuntimeError: mat1"):
        guarded(WordEncoder(), broken)


def test_pooling_over_a_range_takes_its_tokens_only() -> None:
    (found,) = WordEncoder().trace(["gate bread river"], kind=TextKind.PASSAGE)
    # concepts: gate 0, bread 2, river 1
    np.testing.assert_allclose(pooled(found, start=5, end=10), np.eye(8)[2], atol=1e-6)
    np.testing.assert_allclose(pooled(found)[:3], [3**-0.5] * 3, atol=1e-6)


def test_a_range_without_a_token_is_refused() -> None:
    (found,) = WordEncoder().trace(["gate"], kind=TextKind.PASSAGE)
    with pytest.raises(LaboratoryError, match="beyond what the encoder reads"):
        pooled(found, start=10, end=20)


@pytest.mark.parametrize("text", ["", "  \n ", "..", "\ufffd\ufffd\ufffd ab c", "— · —"])
def test_unreadable_text_is_refused(text: str) -> None:
    with pytest.raises(LaboratoryError, match="no readable text"):
        readable(text)


@pytest.mark.parametrize("text", ["gate", "水門は開いた", "a b c", "Привет"])
def test_any_script_is_readable(text: str) -> None:
    assert readable(text) == text


def test_most_tokens_takes_the_encoder_that_needs_more() -> None:
    context = context_of([RIVER], (WordEncoder(), WordEncoder(spec_b(passage_prompt="passage: "))))
    assert most_tokens(context, "one two") == 3


def test_a_passage_that_is_gone_is_named() -> None:
    context = context_of([RIVER], (WordEncoder(), WordEncoder(SPEC)))
    with pytest.raises(LaboratoryError, match="No passage dx:1"):
        context.corpus.position("dx:1")


class _StopsInside:
    """Presses Stop at the third question; nobody may hear of progress inside a step."""

    def __init__(self) -> None:
        self.asked = 0

    def report(self, progress: Progress) -> None:
        raise AssertionError(progress)

    def stop_requested(self) -> bool:
        self.asked += 1
        return self.asked > 2


def test_stop_is_heard_inside_a_batch_and_progress_there_is_kept_quiet() -> None:
    encoder = WordEncoder()
    with pytest.raises(StoppedError):
        encode(encoder, ["gate"] * 9, kind=TextKind.PASSAGE, monitor=Hushed(_StopsInside()))
    assert encoder.encoded < 9


def test_work_is_done_for_a_then_b_and_stop_is_heard_between_them() -> None:
    encoders = word_context().encoders
    watch = StopWhenDone(3)
    assert each_encoder(encoders, "reading", lambda indexed: indexed.label, monitor=watch) == (
        "Words A",
        "Words B",
    )
    assert watch.reports == [
        Progress("reading", 0, 2, "Words A"),
        Progress("reading", 1, 2, "Words B"),
        Progress("reading", 2, 2),
    ]
    heard: list[str] = []
    once = StopWhenDone(0)  # stops as soon as the first step is reported
    with pytest.raises(StoppedError):
        each_encoder(encoders, "reading", lambda indexed: heard.append(indexed.label), monitor=once)
    assert heard == ["Words A"]
