"""Who may add encoders: the owner of a machine anything, visitors nothing unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import app
from core.encoders.catalogue import CATALOGUE_FILE, Catalogue, EncoderRequest
from core.errors import InvalidSettingError
from core.shelf import Shelves
from demo.options import parse
from demo.services import Services
from tests.encoders.tiny import write_tiny_checkpoint

Make = Callable[..., tuple[Services, Shelves]]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    opened = []

    def make(*arguments: str) -> tuple[Services, Shelves]:
        options = parse(["--data", str(tmp_path / "data"), "--offline", *arguments], {})
        shelves = app.make_shelves(options)
        opened.append(shelves)
        return app.make_services(options, shelves), shelves

    yield make
    for shelves in opened:
        shelves.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_checkpoint("minilm", tmp_path / "mini")
    return tmp_path / "mini"


def test_on_ones_own_machine_folders_are_added_and_removed(made: Make, folder: Path) -> None:
    services, shelves = made()
    assert services.add_encoder is not None
    assert services.remove_encoder is not None
    assert services.encoder_folders
    spec = services.add_encoder(EncoderRequest(str(folder)))
    assert services.added_encoders() == (spec,)
    assert spec.encoder_id in shelves.pool.registry.encoders
    services.remove_encoder(spec.encoder_id)
    assert services.added_encoders() == ()


def test_visitors_of_a_shared_server_add_nothing_but_see_the_owners(
    made: Make, folder: Path, tmp_path: Path
) -> None:
    _, shelves = made()
    owned = Catalogue(tmp_path / "data" / CATALOGUE_FILE, shelves.pool).add(
        EncoderRequest(str(folder))
    )
    services, hosted = made("--hosted")
    assert services.add_encoder is None
    assert services.remove_encoder is None
    assert owned.encoder_id in hosted.pool.registry.encoders


def test_an_owner_may_let_visitors_add_hub_ids_but_never_folders(made: Make, folder: Path) -> None:
    services, _ = made("--hosted", "--visitor-encoders")
    assert services.add_encoder is not None
    assert services.remove_encoder is None
    assert not services.encoder_folders
    with pytest.raises(InvalidSettingError, match="no folder of the server"):
        services.add_encoder(EncoderRequest(str(folder)))


def test_a_damaged_list_is_told_to_its_owner_and_not_to_visitors(
    made: Make, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / CATALOGUE_FILE).write_text("{")
    assert "is not JSON" in made()[0].refresh_encoders()
    assert made("--hosted")[0].refresh_encoders() == ""
