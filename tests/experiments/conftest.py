"""A real, tiny pair: Llama layers with random weights, one encoder causal, one bidirectional."""

from __future__ import annotations

import numpy as np
import pytest

from core.encoders.loading import load_encoder
from core.encoders.registry import read_registry
from core.experiments.context import IndexedEncoder
from core.records import Family
from core.search.background import Background
from tests.encoders.checkpoints import write_tiny_bundled


@pytest.fixture(scope="session")
def tiny_encoders(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[IndexedEncoder, IndexedEncoder]:
    """Diffusion, then autoregressive; no corpus."""
    assets = tmp_path_factory.mktemp("tiny-assets")
    write_tiny_bundled(assets)
    registry = read_registry(assets)
    specs = [spec for spec in registry.encoders.values() if spec.checkpoint.startswith("bundled:")]
    by_family = {spec.family: spec for spec in specs}
    encoders = []
    for family in (Family.DIFFUSION, Family.AUTOREGRESSIVE):
        encoder = load_encoder(by_family[family], assets=assets, device="cpu")
        rows = np.zeros((0, encoder.spec.dimension), np.float32)
        encoders.append(IndexedEncoder(encoder, rows, Background.from_scores([])))
    return encoders[0], encoders[1]
