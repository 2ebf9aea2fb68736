import pytest

from core.experiments.words import counted, ordinal, percent, quoted, signed, way


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"),
     (21, "21st"), (111, "111th"), (1002, "1,002nd")],
)  # fmt: skip
def test_ranks_as_people_say_them(number: int, said: str) -> None:
    assert ordinal(number) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "none"), (0.004, "less than 1 %"), (0.306, "31 %"), (1.0, "100 %")]
)
def test_shares(share: float, said: str) -> None:
    assert percent(share) == said


def test_ways() -> None:
    assert way(2, 19) == "goes from 2nd to 19th"
    assert way(1, 1) == "stays 1st"


def test_quotes_are_one_short_line() -> None:
    assert quoted("a\n b") == "“a b”"
    assert quoted("word " * 40).endswith("…”")
    assert len(quoted("x" * 500)) == 72


def test_counts_and_signs() -> None:
    assert counted(1, "query", "queries") == "1 query"
    assert counted(1300, "passage") == "1,300 passages"
    assert [signed(value) for value in (0.034, -0.02, 0.001, -0.001)] == [
        "+0.03", "\u22120.02", "0.00", "0.00",
    ]  # fmt: skip
