"""What may be changed about an encoder's embeddings, and what a spec refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.encoders.registry import read_registry
from core.encoders.spec import EncoderSpec, parse_choice, require_offered
from core.errors import InvalidSettingError
from core.settings import EncoderChoice, OutputType, WorkspaceSettings
from core.store.records import settings_from_json, settings_to_json

KNOWN = read_registry(Path("nowhere")).encoders
PPLX, QWEN, GPT2 = KNOWN["pplx-embed-0.6b"], KNOWN["qwen3-embedding-0.6b"], KNOWN["gpt2"]


@pytest.mark.parametrize(
    ("spec", "choice"),
    [
        (PPLX, EncoderChoice(PPLX.encoder_id, output=OutputType.INT8, dimension=256)),
        (PPLX, EncoderChoice(PPLX.encoder_id, output=OutputType.BINARY)),
        (QWEN, EncoderChoice(QWEN.encoder_id, dimension=1024)),  # its own length: nothing is cut
        (GPT2, EncoderChoice(GPT2.encoder_id, centred=True)),
    ],
)
def test_what_a_recipe_has_is_offered(spec: EncoderSpec, choice: EncoderChoice) -> None:
    require_offered(spec, choice)


@pytest.mark.parametrize(
    ("spec", "choice", "says"),
    [
        (
            QWEN,
            EncoderChoice("q", output=OutputType.INT8),
            "no int8 output: its recipe gives float",
        ),
        (QWEN, EncoderChoice("q", dimension=300), "choose from 32, 64, 128, 256, 512, 768"),
        (GPT2, EncoderChoice("g", dimension=256), "not trained for shorter.* keep its 768"),
        (PPLX, EncoderChoice("p", centred=True), "trained for retrieval and is not mean-centred"),
    ],
)
def test_what_it_has_not_is_refused_in_a_sentence(
    spec: EncoderSpec, choice: EncoderChoice, says: str
) -> None:
    with pytest.raises(InvalidSettingError, match=says):
        require_offered(spec, choice)


def test_raw_language_models_are_marked_and_only_they() -> None:
    raw = {name for name, spec in KNOWN.items() if spec.raw}
    assert raw == {
        "dream-7b", "qwen2.5-7b", "llada-8b", "llama-3-8b", "qwen3-0.6b-mdlm", "qwen3-0.6b",
        "diffugpt-s", "gpt2", "diffugpt-m", "gpt2-medium",
    }  # fmt: skip
    quantised = {name for name, spec in KNOWN.items() if len(spec.outputs) > 1}
    assert quantised == {"pplx-embed-0.6b", "pplx-embed-4b", "pplx-embed-context-0.6b"}
    assert PPLX.shorter_dimensions == (32, 64, 128, 256, 512, 768)


def test_the_command_line_spells_a_choice() -> None:
    both = parse_choice("pplx:output=int8, dimension=256")
    assert both == EncoderChoice("pplx", output=OutputType.INT8, dimension=256)
    assert parse_choice("gpt2:centred") == EncoderChoice("gpt2", centred=True)
    assert parse_choice("pplx:centred", both) == EncoderChoice("pplx", OutputType.INT8, 256, True)
    assert parse_choice("pplx:default", both).is_default
    assert parse_choice("pplx:output=float", both).words == "256 dimensions"
    for text in ("pplx", "pplx:", ":int8", "pplx:output=int4", "pplx:dimension=many", "pplx:fast"):
        with pytest.raises(InvalidSettingError, match="write ID:output=int8"):
            parse_choice(text)


def test_settings_keep_choices_and_drop_what_changes_nothing() -> None:
    choice = EncoderChoice("pplx", output=OutputType.BINARY, dimension=64)
    settings = (
        WorkspaceSettings().with_choice(choice).with_choice(EncoderChoice("gpt2", centred=True))
    )
    assert [kept.encoder_id for kept in settings.choices] == ["gpt2", "pplx"]
    assert settings_from_json(settings_to_json(settings)) == settings
    assert settings.choice("pplx") == choice
    assert settings.choice("else") == EncoderChoice("else")
    fewer = settings.with_choice(EncoderChoice("gpt2"))
    assert fewer.choices == (choice,)
    with pytest.raises(InvalidSettingError, match="given twice"):
        WorkspaceSettings(choices=(choice, choice))
    assert choice.words == "64 dimensions, binary"
    assert EncoderChoice("gpt2", centred=True).words == "mean-centred"


def test_settings_of_an_earlier_version_have_no_choices() -> None:
    text = settings_to_json(WorkspaceSettings()).replace('"choices": [], ', "")
    assert "choices" not in text
    assert settings_from_json(text) == WorkspaceSettings()
