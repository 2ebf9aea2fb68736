"""Table of pairs for the docs: each one's needs, and the proof that its checkpoints load.

``python -m tests.tools.docs --write`` renews it in docs/pairs.md.
"""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from core.encoders.checkpoint import load_backbone
from core.encoders.loading import load_encoder
from core.encoders.registry import read_registry
from tests.encoders.tiny import CHECKPOINT_OF, RECIPES, write_tiny_checkpoint
from tests.tools.lock import ROOT

if TYPE_CHECKING:
    from core.encoders.spec import EncoderSpec

ASSETS = ROOT / "assets"
_HEAD = (
    "| pair | encoder | runs as | remote code | tensors matched | attention probe | "
    "memory CPU / CUDA | tokens per second | matched | not matched |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)
_GIB = 1024**3


def pairs_table(assets: Path = ASSETS) -> str:
    """Every pair, a row an encoder; loads each layout's tiny checkpoint and the bundled pair."""
    registry = read_registry(assets)
    rows = [_HEAD]
    for pair in registry.pairs.values():
        for first, spec in zip((True, False), registry.specs_of(pair.pair_id), strict=True):
            cells = (
                f"`{pair.pair_id}`" if first else "",
                f"{spec.checkpoint} ({_pin(spec)}, {spec.licence})",
                f"{spec.architecture}, {spec.attention}, {spec.pooling}",
                "no",
                *_proof(spec, assets),
                f"{spec.parameters * 4 / _GIB:.2f} / {spec.parameters * 2 / _GIB:.2f} GiB",
                _speed(spec),
                pair.matched if first else "",
                pair.unmatched if first else "",
            )
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _pin(spec: EncoderSpec) -> str:
    if spec.is_bundled:
        return "in this repository"  # its hash is in its manifest and changes with training
    return spec.revision[:8] if spec.is_pinned else "pinned at first fetch"


def _proof(spec: EncoderSpec, assets: Path) -> tuple[str, str]:
    """Tensors matched and the probe, which raises where attention goes another way."""
    if spec.is_bundled:
        tensors = load_encoder(spec, assets=assets, device="cpu").backbone.tensors
        return f"{tensors} of {tensors} (bundled)", "passed"
    return f"{matched(CHECKPOINT_OF[spec.encoder_id])}", "passed"


@cache
def matched(recipe: str) -> str:
    """Tensors of a tiny checkpoint that run, of those in its file, and the layout it was taken for."""
    with tempfile.TemporaryDirectory() as folder:
        write_tiny_checkpoint(recipe, Path(folder))
        backbone, report = load_backbone(Path(folder), architecture=RECIPES[recipe].architecture)
        backbone.probe(RECIPES[recipe].attention, name=recipe)
    return f"{report.matched} of {report.matched + len(report.ignored)} ({report.layout.name})"


def _speed(spec: EncoderSpec) -> str:
    """Tokens a second as `make bench` measured them last."""
    measured = json.loads((ASSETS / "benchmarks" / "bench.json").read_text(encoding="utf-8"))
    figures = measured.get("bundled arms", {}).get("figures", {})
    if spec.encoder_id not in figures:
        return "not measured"
    speed = int(figures[spec.encoder_id]["wall clock"]["tokens_per_second"])
    return f"{speed:,} on {int(figures['threads'])} CPU cores"


BLOCKS = {"pairs": pairs_table}
