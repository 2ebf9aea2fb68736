"""From the trained parameters to the folder that ships."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from core.encoders.bundled import Arrays, Manifest, write_bundled
from core.encoders.pooling import Readout
from core.encoders.spec import Attention, Pooling
from core.errors import EncoderUnavailableError
from core.records import Family
from core.training.conversion import ConvertedBase, first_layers

ATTENTION = {
    Family.DIFFUSION: Attention.BIDIRECTIONAL,
    Family.AUTOREGRESSIVE: Attention.CAUSAL,
}
ENCODER_IDS = {
    Family.DIFFUSION: "bifocal-diffusion-135m",
    Family.AUTOREGRESSIVE: "bifocal-autoregressive-135m",
}
_LABELS = {
    Family.DIFFUSION: "Bifocal diffusion",
    Family.AUTOREGRESSIVE: "Bifocal autoregressive",
}


@dataclass(frozen=True, slots=True, eq=False)
class TrainedEncoder:
    """Result of the stages for one encoder.

    Attributes:
        adapters: ``X.down`` and ``X.up`` of the layers that ship.
        readout: Trained.
        trained_on: One sentence for the spec.
    """

    adapters: Arrays
    readout: Readout
    trained_on: str


def readout_tensors(readout: Readout) -> Arrays:
    """The readout as stored: the large projection float16, the small statistics float32."""
    arrays: Arrays = {
        "readout.offset": readout.offset.cpu().numpy(),
        "readout.scale": readout.scale.cpu().numpy(),
        "readout.token_weights": readout.token_weights.cpu().numpy(),
    }
    if readout.projection is not None:
        projection = readout.projection.detach().cpu().half().numpy()
        arrays["readout.projection"] = np.ascontiguousarray(projection)
    return arrays


def export(
    folder: Path,
    *,
    base: ConvertedBase,
    encoders: Mapping[Family, TrainedEncoder],
    query_prompt: str,
    passage_prompt: str,
    max_tokens: int,
    licence: str,
) -> Manifest:
    """Cut the base to the layers that are read, and write the folder."""
    layers = max(max(encoder.readout.layers) for encoder in encoders.values())
    arrays = first_layers(base.arrays, layers)
    # decoded, because a run's count must not depend on how the weights are packed
    running = sum(
        array.size * (2 if name.endswith(".codes") and f"{name[:-6]}.minimum" in arrays else 1)
        for name, array in arrays.items()
        if not name.endswith((".scale", ".minimum"))
    )
    facts = {}
    for family, encoder in encoders.items():
        projection = encoder.readout.projection
        facts[family] = {
            "encoder_id": ENCODER_IDS[family],
            "label": _LABELS[family],
            "attention": ATTENTION[family],
            "pooling": encoder.readout.pooling,
            "layers": encoder.readout.layers,
            "query_prompt": query_prompt,
            "passage_prompt": passage_prompt,
            "max_tokens": max_tokens,
            "dimension": encoder.readout.dimension,
            "parameters": running + (0 if projection is None else projection.numel()),
            "licence": licence,
            "trained_on": encoder.trained_on,
        }
    return write_bundled(
        folder,
        config={**base.config, "num_hidden_layers": layers},
        tokenizer_json=base.tokenizer_json,
        base=arrays,
        adapters={
            family: {**encoder.adapters, **readout_tensors(encoder.readout)}
            for family, encoder in encoders.items()
        },
        encoders=facts,
    )


def write_converted(folder: Path, base: ConvertedBase) -> None:
    """Keep a converted base in a working folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(base.config), encoding="utf-8")
    (folder / "tokenizer.json").write_text(base.tokenizer_json, encoding="utf-8")
    save_file(base.arrays, folder / "base.safetensors")


def read_converted(folder: Path) -> ConvertedBase:
    """Read back a base that `write_converted` wrote.

    Raises:
        EncoderUnavailableError: If the folder holds no converted base.
    """
    try:
        return ConvertedBase(
            config=json.loads((folder / "config.json").read_text(encoding="utf-8")),
            tokenizer_json=(folder / "tokenizer.json").read_text(encoding="utf-8"),
            arrays=load_file(folder / "base.safetensors"),
        )
    except OSError as exc:
        msg = f"{folder} holds no converted base ({exc}). Run the convert step first."
        raise EncoderUnavailableError(msg) from exc


def write_readout(path: Path, readout: Readout) -> None:
    """Keep a readout in a working folder."""
    torch.save(
        {
            "layers": list(readout.layers),
            "offset": readout.offset,
            "scale": readout.scale,
            "projection": readout.projection,
            "token_weights": readout.token_weights,
            "pooling": readout.pooling.value,
        },
        path,
    )


def read_readout(path: Path) -> Readout:
    """Read back a readout that `write_readout` wrote."""
    saved = torch.load(path, weights_only=True)
    pooling = Pooling(saved.pop("pooling"))
    return Readout(**{**saved, "layers": tuple(saved["layers"]), "pooling": pooling})
