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
        ("The short form is the one that is used in letters.", ""),
        ("Essential is defined as what no lock can do without.", ""),
        ("file-name is the name of the file that is read.", ""),
        ("The main problem is the lack of oak for the gates.", ""),
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
            "The sluice gates were closed at noon because the river had risen fast.",
            "Why were the sluice gates closed at noon?",
        ),
        (
            "Ada Lovelace was born in London in December 1815.",
            "Was Ada Lovelace born in London in December 1815?",
        ),
        ("They were closed in March after the flood.", ""),
        ("Were the gates closed in March after the flood?", ""),
        ("If you want to open the gate, turn the wheel.", "How do you open the gate?"),
        ("The old lock consists of two chambers.", "What does the old lock consist of?"),
        ("The lock keeper provides a log of every passage.", "What does the lock keeper provide?"),
        (
            "In winter, the upper pool is kept below the sill, which spares the gates.",
            "Is the upper pool kept below the sill?",
        ),
        (
            "11The calculated threshold (see below) would be a function of the angle.",
            "Would the calculated threshold be a function of the angle?",
        ),
        ("If necessary, the valve can be shut by hand.", ""),
        ("If it is necessary, the valve can be shut by hand.", ""),
        ("If the gate exists, the valve can be shut by hand.", ""),
        ("If all or any of the gates are shut, the valve can be opened.", ""),
        ("Keepers provide the key of the upper gate.", ""),
        ("If you can't, ask the lock keeper for the key.", ""),
        ("If the gate is open the pump will start, it must be shut.", ""),
        ("The lower pool is described in the appendix.", ""),
        ("The lower pool is shown in figure 3.", ""),
        ("The latter gate was closed in March by the keeper.", ""),
        ("The second gate was closed in March by the keeper.", ""),
        ("The control panel is in the upper lock house.", ""),
        ("The gates in the harbour was closed in March.", ""),
        ("Period is normally a good choice in such a name.", ""),
        ("The norm says gates are closed in March by the keeper.", ""),
        ("The value x0 is closed to f_max in March by the keeper.", ""),
        ("The lock keeper has no boat of his own at all.", ""),
        ("The pool needs repair by its owner in spring.", ""),
        ("To this end, the wheel is turned to the left.", ""),
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
        ("Ein Beispiel ist die Menge der geraden Zahlen.", ""),
        ("Ein ganz anderes Kaliber ist die Schleuse am Hafen.", ""),
        ("Die Schleuse öffnet sich bei steigendem Wasser.", ""),
    ],
)
def test_german_definitions_become_questions(sentence: str, question: str) -> None:
    assert define_german(sentence) == question


def test_names_keep_their_capital_and_other_words_lose_it() -> None:
    common = frozenset({"magnesium", "tablets"})
    said = "Magnesium tablets have been tried five times in good studies"
    assert ask(said, common) == "Have magnesium tablets been tried five times in good studies?"
    said = "Varne tablets have been tried five times in good studies"
    assert ask(said, common) == "Have Varne tablets been tried five times in good studies?"
