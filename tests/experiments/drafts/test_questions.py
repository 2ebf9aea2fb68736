import pytest

from core.experiments.drafts import ask, define, define_german


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("A sluice gate is a barrier that slides in grooves.", "What is a sluice gate?"),
        ("Entropy refers to the disorder of a closed system.", "What does Entropy refer to?"),
        (
            "The term of office means the years served in one seat.",
            "What does the term of office mean?",
        ),
        ("Arithmetic expansion is a feature of the shell.", "What is arithmetic expansion?"),
        ("These hook functions are the last to be called.", ""),
        ("Their second argument is the size in bytes.", ""),
        ("It is a barrier that slides in grooves.", ""),
        ("This is the barrier that slides in grooves.", ""),
        ("A gate is a.", ""),
        ("Beneath each bay is a sill of oak and iron.", ""),
        ("The third is the one that was lost in the fire.", ""),
        ("The quiet one always means that the valve is shut.", ""),
    ],
)
def test_definitions_become_questions(sentence: str, question: str) -> None:
    assert define(sentence) == question


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        (
            "The sluice gates were closed in March after the flood.",
            "Were the sluice gates closed in March after the flood?",
        ),
        (
            "If the pressure falls, the valve shuts by itself.",
            "What happens if the pressure falls?",
        ),
        ("To open the gate, turn the wheel to the left.", "How do you open the gate?"),
        (
            "The gates were closed because the river had risen fast.",
            "Why were the gates closed?",
        ),
        ("Ada Lovelace was the first to see this.", "Was Ada Lovelace the first to see this?"),
        ("They were closed in March after the flood.", ""),
        ("Were the gates closed in March after the flood?", ""),
        ("Short one.", ""),
        ("Without them nobody would have known about the sand.", ""),
        ("Thirty-eight had their full strength after the winter.", ""),
        ("The rise in the second winter was not gradual at all.", ""),
        ("Die Schleuse öffnet sich bei steigendem Wasser von selbst.", ""),
    ],
)
def test_sentences_become_questions(sentence: str, question: str) -> None:
    assert ask(sentence) == question


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("Ein Hochlager ist eine Halle mit Regalen bis zur Decke.", "Was ist ein Hochlager?"),
        ("Die offene Menge ist das Komplement der Hülle.", "Was ist die offene Menge?"),
        ("Die Schleusen sind ein Teil des alten Hafens.", "Was sind die Schleusen?"),
        ("Das kleinste davon ist ein Rest aus der alten Zeit.", ""),  # no noun at its end
        ("Die Schleuse öffnet sich bei steigendem Wasser.", ""),
    ],
)
def test_german_definitions_become_questions(sentence: str, question: str) -> None:
    assert define_german(sentence) == question


def test_names_keep_their_capital_and_other_words_lose_it() -> None:
    common = frozenset({"magnesium", "gates"})
    said = "Magnesium has been tried five times in good studies"
    assert ask(said, common) == "Has magnesium been tried five times in good studies?"
    said = "Varne has been tried five times in good studies"
    assert ask(said, common) == "Has Varne been tried five times in good studies?"
