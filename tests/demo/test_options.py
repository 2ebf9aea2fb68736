"""Options: argument, then environment, then default."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from core.errors import InvalidSettingError
from demo.options import OPTIONS, AppOptions, parse


def test_the_table_and_the_record_name_the_same_options() -> None:
    assert [option.name for option in OPTIONS] == [field.name for field in fields(AppOptions)]


def test_defaults_keep_to_this_machine() -> None:
    options = parse([], {})
    assert (options.host, options.port, options.hosted) == ("127.0.0.1", 7860, False)


def test_argument_goes_before_environment() -> None:
    environment = {"BIFOCAL_PORT": "1000", "BIFOCAL_DATA": "/tmp/shelf", "BIFOCAL_MCP": "yes"}
    options = parse(["--port", "2000"], environment)
    assert (options.port, options.data, options.mcp) == (2000, Path("/tmp/shelf"), True)


@pytest.mark.parametrize("text", ["", "0", "no", "False", "off"])
def test_a_flag_can_be_off_in_the_environment(text: str) -> None:
    assert parse([], {"BIFOCAL_HOSTED": text}).hosted is False


def test_a_space_is_hosted_and_reachable() -> None:
    options = parse([], {"SPACE_ID": "somebody/bifocal"})
    assert (options.hosted, options.host) == (True, "0.0.0.0")
    assert parse(["--host", "127.0.0.1"], {"SPACE_ID": "x/y"}).host == "127.0.0.1"


def test_names_of_the_server_come_with_commas_and_a_space_knows_its_own() -> None:
    assert parse([], {}).allow_host == ()
    assert parse(["--allow-host", "a.org, b.org"], {}).allow_host == ("a.org", "b.org")
    space = {"SPACE_ID": "x/y", "SPACE_HOST": "x-y.hf.space"}
    assert parse([], space).allow_host == ("x-y.hf.space", "*")
    assert parse([], {**space, "BIFOCAL_ALLOW_HOST": "a.org"}).allow_host == ("a.org",)


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (["--port", "70000"], {}, "--port"),
        (["--device", "tpu"], {}, "--device"),
        ([], {"BIFOCAL_PORT": "many"}, "BIFOCAL_PORT"),
        (["--keep-hours", "0"], {}, "--keep-hours"),
    ],
    ids=["port", "device", "environment", "hours"],
)
def test_a_bad_value_names_its_field(
    arguments: list[str], environment: dict[str, str], named: str
) -> None:
    with pytest.raises(InvalidSettingError, match=named):
        parse(arguments, environment)
