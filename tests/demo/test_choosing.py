"""The Encoders part: columns, options and encoders of one's own, as plain functions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from core.encoders.catalogue import CATALOGUE_FILE, Catalogue, EncoderRequest
from core.errors import EncoderUnavailableError, InvalidSettingError, UnknownNameError
from core.records import Family
from core.settings import EncoderChoice
from demo.choosing import Choosing
from demo.presenters import encoders as shown
from demo.views.encoders import request_of
from tests.demo.world import lent
from tests.encoders.fake import fake_spec
from tests.encoders.tiny import write_tiny_checkpoint

VISITOR, LIBRARY = "local", "my-documents"
EXTRA = dataclasses.replace(
    fake_spec(encoder_id="extra", family=Family.REFERENCE),
    label="<b>Extra</b> {0}",
    matryoshka_dimensions=(16, 32),
)


def open_to(handlers: Any, folder: Path, **changes: Any) -> Choosing:
    """The desk of a page whose owner may add encoders."""
    pool = lent(handlers.services, VISITOR, LIBRARY).pool
    pool.register(EXTRA)
    pool.built_in = frozenset(pool.registry.encoders)
    catalogue = Catalogue(folder / CATALOGUE_FILE, pool)
    handlers.services = dataclasses.replace(handlers.services, catalogue=catalogue, **changes)
    return Choosing(handlers)


@pytest.fixture
def choosing(real: Any, tmp_path: Path) -> Choosing:
    return open_to(real, tmp_path)


def test_the_part_shows_what_is_known_and_what_is_in_use(choosing: Choosing) -> None:
    screen = choosing.screen(VISITOR, LIBRARY)
    assert [name for _, name in screen.known] == ["count-dif", "count-aut", "extra"]
    assert (screen.first, screen.second, screen.also) == ("count-dif", "count-aut", ())
    assert [name for _, name in screen.columns] == ["count-dif", "count-aut"]
    assert 'class="sym dif"' in screen.in_use


def test_any_two_encoders_and_further_columns_are_one_choice(choosing: Choosing) -> None:
    same = choosing.settings(VISITOR, LIBRARY, "count-dif", "count-aut", ())
    assert same.pair_id == "smollm2-135m-pair"  # two that are a pair keep its name
    other = choosing.settings(VISITOR, LIBRARY, "extra", "count-aut", ("count-dif", "extra"))
    assert (other.pair_id, other.also) == ("extra+count-aut", ("count-dif",))
    job = choosing.handlers.indexing.change_settings(VISITOR, LIBRARY, other)
    assert job is not None
    job.outcome()
    screen = choosing.screen(VISITOR, LIBRARY)
    assert (screen.first, screen.second, screen.also) == ("extra", "count-aut", ("count-dif",))
    pairs = {one: two for two, one in choosing.handlers.libraries.screen(VISITOR, LIBRARY).pairs}
    assert pairs["extra+count-aut"] == "<b>Extra</b> {0} + Late"
    assert "<b>" not in screen.in_use
    assert "{0}" not in screen.in_use
    bench = lent(choosing.services, VISITOR, LIBRARY)
    found = bench.ask("the tide", k=5)
    assert [c.info.system_id for c in found.columns] == ["extra", "count-aut", "count-dif", "bm25"]


def test_columns_that_cannot_be_are_refused(choosing: Choosing) -> None:
    with pytest.raises(InvalidSettingError, match="the same encoder"):
        choosing.settings(VISITOR, LIBRARY, "extra", "extra", ())
    with pytest.raises(UnknownNameError, match="no encoder 'nobody'"):
        choosing.settings(VISITOR, LIBRARY, "extra", "count-aut", ("nobody",))
    with pytest.raises(InvalidSettingError, match="at most 4"):
        choosing.settings(VISITOR, LIBRARY, "extra", "count-aut", ("count-dif",) * 5)
    with pytest.raises(UnknownNameError):
        choosing.screen("somebody else", LIBRARY)


def test_options_offer_what_the_encoder_has_and_say_what_it_has_not(choosing: Choosing) -> None:
    found = choosing.options(VISITOR, LIBRARY, "extra")
    assert found.outputs == ("float",)
    assert found.dimensions == (("all 64", 0), ("32", 32), ("16", 16))
    assert not found.can_centre
    assert "no quantised output" in found.words
    assert "not trained for shorter" not in found.words
    settings = choosing.with_choice(
        VISITOR, LIBRARY, "extra", output="float", dimension=16, centred=False
    )
    assert settings.choices == (EncoderChoice("extra", dimension=16),)
    with pytest.raises(InvalidSettingError, match="no output 'int4'"):
        choosing.with_choice(VISITOR, LIBRARY, "extra", output="int4", dimension=0, centred=False)


def test_an_added_encoder_is_offered_and_one_in_use_is_not_removed(
    choosing: Choosing, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    write_tiny_checkpoint("minilm", folder)
    spec = choosing.add(VISITOR, EncoderRequest(str(folder), label="Mini"))
    assert "was added" in shown.described(spec)
    assert str(tmp_path) not in shown.described(spec)  # the folder's own name only
    assert ("Mini", "mini") in choosing.screen(VISITOR, LIBRARY).added
    settings = choosing.settings(VISITOR, LIBRARY, "count-dif", "count-aut", ("mini",))
    bench = lent(choosing.services, VISITOR, LIBRARY)
    bench.workspace.put_settings(settings)
    with pytest.raises(InvalidSettingError, match="mini is a column of My documents"):
        choosing.remove(VISITOR, "mini")
    bench.workspace.put_settings(dataclasses.replace(settings, also=()))
    choosing.remove(VISITOR, "mini")
    assert choosing.screen(VISITOR, LIBRARY).added == ()


def test_a_library_whose_pair_lost_an_encoder_still_opens(
    choosing: Choosing, tmp_path: Path
) -> None:
    bench = lent(choosing.services, VISITOR, LIBRARY)
    gone = dataclasses.replace(bench.settings, pair_id="mini+count-aut")
    bench.workspace.put_settings(gone)
    screen = choosing.handlers.libraries.screen(VISITOR, LIBRARY)
    assert "no encoder" in screen.notice
    assert ("(an encoder was removed)", "mini+count-aut") in screen.pairs
    part = choosing.screen(VISITOR, LIBRARY)
    assert (part.first, part.columns) == ("", ())
    assert "Choose two encoders" in part.problem


def test_where_adding_is_closed_the_reason_is_told(hosted: Any) -> None:
    closed, visitor = Choosing(hosted.handlers()), hosted.visitors.new()
    for work in (
        lambda: closed.add(visitor, EncoderRequest("a/b")),
        lambda: closed.remove(visitor, "a"),
    ):
        with pytest.raises(InvalidSettingError, match="owner has not allowed it"):
            work()
    assert closed.screen(visitor, "sample").added == ()


def test_a_file_that_is_damaged_is_told_in_the_part(choosing: Choosing, tmp_path: Path) -> None:
    (tmp_path / CATALOGUE_FILE).write_text("{")
    screen = choosing.screen(VISITOR, LIBRARY)
    assert "is not JSON" in screen.problem


def test_the_form_leaves_open_what_is_empty() -> None:
    empty = request_of(" a/b ", None, "", "", "", "", "", "", None, "")
    assert empty == EncoderRequest("a/b")
    full = request_of(
        "a/b", "diffusion", "L", "/x", "causal", "last token", "q: ", "p: ", 64, "8, 16"
    )
    assert (full.max_tokens, full.dimensions, full.query_prompt) == (64, (8, 16), "q: ")
    with pytest.raises(InvalidSettingError, match="choose one of those offered"):
        request_of("a/b", "lexical!", "", "", "", "", "", "", 0, "")
    with pytest.raises(InvalidSettingError, match="dimensions: write"):
        request_of("a/b", "reference", "", "", "", "", "", "", 0, "8;16")


def test_an_unknown_source_is_told(choosing: Choosing) -> None:
    with pytest.raises(EncoderUnavailableError, match="source: "):
        choosing.add(VISITOR, EncoderRequest("no such thing"))
