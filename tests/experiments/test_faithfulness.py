import math

import pytest

from core.experiments.faithfulness import CONTEXTS, draw_copies
from core.experiments.leave_out import leave_sentences_out
from tests.experiments.stand_in import (
    WordEncoder,
    context_of,
    document,
    passage_with,
    spec_b,
    word_context,
)


def test_the_check_of_faithfulness_is_a_number_found_elsewhere() -> None:
    context = word_context()
    found = leave_sentences_out(context, "flood", passage_with(context, "slides")).a.faithfulness
    assert found is not None
    assert found.top == 3
    assert found.top_drop == pytest.approx(1 / math.sqrt(243), abs=1e-6)
    assert found.others_drop < 0  # without the others the flood only weighs more
    assert found.contexts == 8
    assert found.wins == 1.0
    assert found.context_top_drop > found.context_other_drop
    assert found.holds


def test_two_sentences_leave_no_copies_to_try() -> None:
    doc = document("pair", "The gates were closed. The flood came.\n\nThe bread was hot.")
    context = context_of([doc], (WordEncoder(), WordEncoder(spec_b())))
    found = leave_sentences_out(context, "flood", passage_with(context, "gates")).a.faithfulness
    assert found is not None
    assert (found.top, found.contexts) == (2, 0)
    assert math.isnan(found.wins)
    # without "The flood came." nothing of the flood is left; without the other it weighs more
    assert found.holds
    assert found.others_drop < 0 < found.top_drop


def test_both_encoders_are_tested_on_the_same_draw() -> None:
    copies = draw_copies(5, seed=3)
    assert len(copies) == CONTEXTS
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in copies)
    assert draw_copies(5, seed=3) == copies
    assert draw_copies(5, seed=4) != copies
    assert draw_copies(2, seed=3) == ()
