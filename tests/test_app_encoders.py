"""Who may add encoders: the owner of a machine anything, visitors nothing unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import app
from core.encoders.catalogue import CATALOGUE_FILE, EncoderRequest
from core.errors import InvalidSettingError
from demo.choosing import Choosing
from demo.handlers import Handlers
from demo.options import parse
from demo.services import Services
from tests.encoders.tiny import write_tiny_checkpoint

Make = Callable[..., Services]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    opened = []

    def make(*arguments: str) -> Services:
        options = parse(["--data", str(tmp_path / "data"), "--offline", *arguments], {})
        opened.append(app.make_visitors(options))
        return app.make_services(options, opened[-1])

    yield make
    for visitors in opened:
        visitors.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_checkpoint("minilm", tmp_path / "mini")
    return tmp_path / "mini"


def test_on_ones_own_machine_folders_are_added_and_removed(made: Make, folder: Path) -> None:
    choosing = Choosing(Handlers(made()))
    spec = choosing.add("local", EncoderRequest(str(folder)))
    catalogue = choosing.services.catalogue
    assert catalogue.added() == (spec,)
    assert spec.encoder_id in choosing.services.visitors.pool.registry.encoders
    choosing.remove("local", spec.encoder_id)
    assert catalogue.added() == ()


def test_visitors_of_a_shared_server_add_nothing_but_see_the_owners(
    made: Make, folder: Path
) -> None:
    owned = made().catalogue.add(EncoderRequest(str(folder)))
    services = made("--hosted")
    choosing, visitor = Choosing(Handlers(services)), services.visitors.new()
    with pytest.raises(InvalidSettingError):
        choosing.add(visitor, EncoderRequest("owner/model"))
    with pytest.raises(InvalidSettingError):
        choosing.remove(visitor, owned.encoder_id)
    assert owned.encoder_id in services.visitors.pool.registry.encoders


def test_an_owner_may_let_visitors_add_hub_ids_but_never_folders(made: Make, folder: Path) -> None:
    services = made("--hosted", "--visitor-encoders")
    assert services.adding
    with pytest.raises(InvalidSettingError, match="no folder of the server"):
        Choosing(Handlers(services)).add(services.visitors.new(), EncoderRequest(str(folder)))


def test_a_damaged_list_is_told_to_its_owner_and_not_to_visitors(
    made: Make, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / CATALOGUE_FILE).write_text("{")
    assert "is not JSON" in made().refresh_encoders()
    assert made("--hosted").refresh_encoders() == ""
