from core.experiments.drafts import keywords


def test_keywords_are_the_rarest_words_in_their_order() -> None:
    rarity = {
        "gate": 1.0,
        "sluice": 3.0,
        "barrier": 3.0,
        "river": 2.0,
        "rises": 3.0,
        "grooves": 3.0,
        "march": 3.0,
        "flood": 3.0,
    }
    text = "The sluice gate and the barrier in the river: grooves, March, flood, rises."
    # six of the seven rarest by weight; gate (1.0) and river (2.0) come last, so both go
    assert keywords(text, rarity) == "sluice barrier grooves March flood rises"
