"""The table of pairs for docs and command line: what each needs, and what a rehearsal proved."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.encoders.registry import BUNDLED_PREFIX, is_pinned, load_encoder, read_registry
from core.errors import CoreError

if TYPE_CHECKING:
    from core.encoders.registry import Registry
    from core.encoders.spec import EncoderSpec

_FLOAT32_BYTES = 4
_BFLOAT16_BYTES = 2
_GIB = 1024**3
_BENCH = Path("benchmarks", "bench.json")
_HEAD = """\
# Pairs

Made by `python -m core pairs --markdown core/encoders/PAIRS.md`; a test fails when it is stale.

- *Tensors matched*: a tiny random checkpoint with the publisher's tensor names, config fields and
  quirks (the layout in brackets) goes through the same strict loader; the rest of the file is what
  an encoder has no use for, the language-model head say. For the bundled pair: its own files.
- *Attention probe*: the last token is changed, and the first token's state must move
  (bidirectional) or stay to the last bit (causal), unpadded and padded. It runs at every load.
- *Memory*: the weights alone, float32 on CPU and bfloat16 on CUDA. `python -m core fetch PAIR
  --plan` compares what loading needs with what is free.
- *Pinned at first fetch*: Bifocal states no commit; the hub's present one is written down when the
  checkpoint is first fetched and does not move until `python -m core fetch PAIR --repin`.
"""


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm's facts.

    Attributes:
        encoder_id: Its id.
        family: Which arm.
        checkpoint: Where its weights come from.
        revision: Pinned commit; "main" where none is pinned.
        pinned: Whether one is.
        licence: As published.
        architecture: Stock class family that runs it.
        attention: How it attends.
        pooling: How it pools.
        dimension: Of the embedding.
        max_tokens: Its limit here.
        parameters: Number of weights, about.
        remote_code: Whether code from the checkpoint would run: never.
        layout: Layout that its tiny checkpoint was recognised as.
        tensors_matched: Of the tiny checkpoint in the published layout (of the bundled one itself).
        tensors: In that file; the difference is what an encoder leaves aside.
        probe: "passed", or why not.
        memory_cpu_gib: Weights in float32.
        memory_cuda_gib: Weights in bfloat16.
        speed: Tokens a second and where that was measured; "" where nobody has.
    """

    encoder_id: str
    family: str
    checkpoint: str
    revision: str
    pinned: bool
    licence: str
    architecture: str
    attention: str
    pooling: str
    dimension: int
    max_tokens: int
    parameters: int
    remote_code: bool
    layout: str
    tensors_matched: int
    tensors: int
    probe: str
    memory_cpu_gib: float
    memory_cuda_gib: float
    speed: str = ""


@dataclass(frozen=True, slots=True)
class PairRow:
    """One pair's line.

    Attributes:
        pair_id: Its id.
        label: Name for people.
        matched: What is the same on both sides.
        unmatched: What else differs.
        arms: Diffusion, then autoregressive.
    """

    pair_id: str
    label: str
    matched: str
    unmatched: str
    arms: tuple[ArmRow, ArmRow]


def pairs_table(assets: Path, *, rehearsed: bool = True) -> tuple[PairRow, ...]:
    """Return every pair with its facts; ``json.dumps`` takes ``[asdict(row) for row in rows]``.

    Args:
        assets: Bifocal's assets folder.
        rehearsed: Load each layout's tiny checkpoint (and the bundled arms themselves) and probe
            its attention; takes a few seconds. Otherwise those fields are empty.
    """
    registry = read_registry(assets)
    found: dict[str, ArmRow] = {}
    rows = []
    for pair in registry.pairs.values():
        arms = []
        for encoder_id in (pair.diffusion, pair.autoregressive):
            if encoder_id not in found:
                found[encoder_id] = _arm(registry, encoder_id, assets, rehearsed=rehearsed)
            arms.append(found[encoder_id])
        rows.append(
            PairRow(pair.pair_id, pair.label, pair.matched, pair.unmatched, (arms[0], arms[1]))
        )
    return tuple(rows)


def pairs_json(assets: Path, *, rehearsed: bool = True) -> list[dict[str, Any]]:
    """Return `pairs_table` as plain values."""
    return [asdict(row) for row in pairs_table(assets, rehearsed=rehearsed)]


def pairs_markdown(assets: Path) -> str:
    """Return the page for the docs; ``python -m core pairs --markdown FILE`` writes it."""
    lines = [
        _HEAD,
        "| pair | arm | runs as | remote code | tensors matched | attention probe | "
        "memory CPU / CUDA | tokens per second | matched | not matched |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in pairs_table(assets):
        for place, arm in enumerate(row.arms):
            first = place == 0
            pin = arm.revision[:8] if arm.pinned and arm.revision else "pinned at first fetch"
            if arm.checkpoint.startswith(BUNDLED_PREFIX):
                pin = "in this repository"  # its hash is in its manifest and changes with training
            matched = f"{arm.tensors_matched} of {arm.tensors} ({arm.layout})"
            cells = (
                f"`{row.pair_id}`" if first else "",
                f"{arm.checkpoint} ({pin}, {arm.licence})",
                f"{arm.architecture}, {arm.attention}, {arm.pooling}",
                "yes" if arm.remote_code else "no",
                matched if arm.tensors else "",
                arm.probe,
                f"{arm.memory_cpu_gib:.2f} / {arm.memory_cuda_gib:.2f} GiB",
                arm.speed or "not measured",
                row.matched if first else "",
                row.unmatched if first else "",
            )
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _arm(registry: Registry, encoder_id: str, assets: Path, *, rehearsed: bool) -> ArmRow:
    spec = registry.encoder(encoder_id)
    layout, matched, tensors, probe = "", 0, 0, ""
    if rehearsed:
        layout, matched, tensors, probe = _proof(spec, assets)
    return ArmRow(
        encoder_id=spec.encoder_id,
        family=spec.family.value,
        checkpoint=spec.checkpoint,
        revision=spec.revision,
        pinned=is_pinned(spec),
        licence=spec.licence,
        architecture=spec.architecture,
        attention=spec.attention.value,
        pooling=spec.pooling.value,
        dimension=spec.dimension,
        max_tokens=spec.max_tokens,
        parameters=spec.parameters,
        remote_code=False,
        layout=layout,
        tensors_matched=matched,
        tensors=tensors,
        probe=probe,
        memory_cpu_gib=round(spec.parameters * _FLOAT32_BYTES / _GIB, 2),
        memory_cuda_gib=round(spec.parameters * _BFLOAT16_BYTES / _GIB, 2),
        speed=_speed(spec, assets),
    )


def _speed(spec: EncoderSpec, assets: Path) -> str:
    """Tokens a second as `make bench` measured them last, "" where it did not."""
    try:
        arms = json.loads((assets / _BENCH).read_text(encoding="utf-8"))["bundled arms"]
        figures = arms["figures"]
        speed = int(figures[spec.encoder_id]["wall clock"]["tokens_per_second"])
        return f"{speed:,} on {int(figures['threads'])} CPU cores"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _proof(spec: EncoderSpec, assets: Path) -> tuple[str, int, int, str]:
    """Layout, tensors matched, tensors, probe: of the bundled arm itself or of a rehearsal."""
    # Late: torch comes with it, and the table's facts alone need none.
    from core.encoders.rehearsal import REHEARSED_AS, rehearse

    try:
        if spec.checkpoint.startswith(BUNDLED_PREFIX):
            encoder = load_encoder(spec, assets=assets, device="cpu")  # probes, or raises
            return "bundled", encoder.tensors, encoder.tensors, "passed"
        result = rehearse(REHEARSED_AS[spec.encoder_id])
    except (CoreError, KeyError) as exc:
        return "", 0, 0, f"failed: {exc}"
    return result.layout, result.matched, result.tensors, result.probe
