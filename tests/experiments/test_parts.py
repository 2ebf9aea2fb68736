from core.experiments.evidence import Part
from core.experiments.parts import query_parts, without


def test_long_queries_fall_into_clauses() -> None:
    query = (
        "Where did the river break its banks, and which of the gates that were closed in March "
        "had to be opened by hand because the motor failed?"
    )
    unit, parts = query_parts(query)
    assert unit == "clause"
    assert [part.text for part in parts] == [
        "Where did the river break its banks,",
        "and which of the gates",
        "that were closed in March had to be opened by hand",
        "because the motor failed?",
    ]
    assert all(query[part.start : part.end] == part.text for part in parts)


def test_leaving_parts_out_mends_the_spacing() -> None:
    text = "One.  Two.\nThree."
    parts = (Part(1, 0, 4, "One."), Part(2, 6, 10, "Two."), Part(3, 11, 17, "Three."))
    assert without(text, parts, {1}) == "One. Three."
    assert without(text, parts, {0}) == "Two.\nThree."
    assert without(text, parts, {0, 1, 2}) == ""
    assert without(text, parts, set()) == text
