"""Encoders under contract: every way in which Bifocal makes one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from core.encoders.loading import load_encoder, load_folder
from core.encoders.registry import read_registry
from core.encoders.spec import Attention, Pooling
from tests.encoders.checkpoints import Checkpoint, write_checkpoint, write_tiny_bundled
from tests.encoders.fake import FakeEncoder, fake_spec
from tests.encoders.tiny import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.encoders.spec import Encoder

ASSETS = Path(__file__).parents[2] / "assets"
LEAN_RECIPES = tuple(name for name in RECIPES if RECIPES[name].architecture[:4] in {"llam", "qwen"})
FAKES = {
    "fake-diffusion": fake_spec(),
    "fake-autoregressive": fake_spec(
        encoder_id="fake-autoregressive",
        attention=Attention.CAUSAL,
        pooling=Pooling.LAST_TOKEN,
        query_prompt="find ",
    ),
}
ENCODERS = (
    *FAKES,
    *RECIPES,
    *(f"{name}, stock" for name in LEAN_RECIPES),
    "tiny-diffusion",
    "tiny-autoregressive",
    *(
        encoder_id
        for encoder_id, spec in read_registry(ASSETS).encoders.items()
        if spec.checkpoint.startswith("bundled:")
    ),
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # tiny matrices: more threads only wait for each other


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkpoint]:
    """Tiny checkpoints by recipe, each written once."""
    root = tmp_path_factory.mktemp("checkpoints")

    @cache
    def make(name: str) -> Checkpoint:
        return write_checkpoint(name, root / name)

    return make


@pytest.fixture(scope="session")
def tiny_assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An assets folder with a tiny bundled pair."""
    root = tmp_path_factory.mktemp("assets")
    write_tiny_bundled(root)
    return root


@pytest.fixture(scope="session")
def encoder_of(
    checkpoint_of: Callable[[str], Checkpoint], tiny_assets: Path
) -> Callable[[str], Encoder]:
    """Encoders by name, each loaded once."""

    @cache
    def make(name: str) -> Encoder:
        if name in FAKES:
            return FakeEncoder(FAKES[name])
        recipe = name.removesuffix(", stock")
        if recipe in RECIPES:
            checkpoint = checkpoint_of(recipe)
            return load_folder(checkpoint.spec, checkpoint.folder, packed=recipe == name)
        assets = tiny_assets if name.startswith("tiny-") else ASSETS
        spec = read_registry(assets).encoder(name)
        return load_encoder(spec, assets=assets, device="cpu")

    return make


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest, encoder_of: Callable[[str], Encoder]) -> Encoder:
    """One encoder after another."""
    return encoder_of(request.param)
