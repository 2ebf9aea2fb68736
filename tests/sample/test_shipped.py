"""The sample library: filled from what ships, and honest when that does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.errors import DatasetError
from core.library.library import Library
from core.library.shipped import seed_sample, write_sample_vectors
from tests.libraries import AUTOREGRESSIVE, DIFFUSION, Loader, make_library
from tests.pdfs import plain_pdf, truncated_pdf

PAGES = {
    "owls.pdf": "The barn owl hunts mice at night. It hears them under the snow.",
    "tides.pdf": "Spring tides follow the full moon. The harbour floods twice a year.",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sample folder whose vectors were made by `write_sample_vectors`."""
    sample = tmp_path / "sample"
    (sample / "pdf").mkdir(parents=True)
    for name, text in PAGES.items():
        (sample / "pdf" / name).write_bytes(plain_pdf([text]))
    maker = make_library(tmp_path / "maker")
    seed_sample(maker, sample)
    written = write_sample_vectors(maker, sample)
    maker.close()
    assert [path.name for path in written] == [
        f"{DIFFUSION.encoder_id}.safetensors",
        f"{AUTOREGRESSIVE.encoder_id}.safetensors",
    ]
    return sample


def seeded(tmp_path: Path, folder: Path, load: Loader) -> Library:
    bench = make_library(tmp_path / "w", load, sample=folder)
    seed_sample(bench, folder)
    return bench


def test_seeding_loads_no_encoder_and_leaves_nothing_to_embed(tmp_path: Path, folder: Path) -> None:
    load = Loader()
    bench = seeded(tmp_path, folder, load)
    assert load.loaded == []
    assert len(bench.documents()) == 2
    report = bench.index()
    assert report.passages_embedded == {DIFFUSION.encoder_id: 0, AUTOREGRESSIVE.encoder_id: 0}
    assert [encoder.total_encoded for encoder in load.encoders.values()] == [0, 0]
    bench.close()


def test_what_ships_answers_as_what_is_embedded_here(tmp_path: Path, folder: Path) -> None:
    bench = seeded(tmp_path, folder, Loader())
    fresh = make_library(tmp_path / "fresh")
    (tmp_path / "bare").mkdir()
    (folder / "pdf").rename(tmp_path / "bare" / "pdf")
    seed_sample(fresh, tmp_path / "bare")
    fresh.index()
    one, other = bench.ask("who hunts mice"), fresh.ask("who hunts mice")
    assert [c.ranking.hits for c in one.columns] == [c.ranking.hits for c in other.columns]
    assert [c.background for c in one.columns] == [c.background for c in other.columns]
    bench.close()
    fresh.close()


def test_shipped_backgrounds_spare_the_sampling(tmp_path: Path, folder: Path) -> None:
    load = Loader()
    bench = seeded(tmp_path, folder, load)
    bench.ask("who hunts mice")
    # The query itself and nothing else: no random queries for a background.
    assert [encoder.total_encoded for encoder in load.encoders.values()] == [1, 1]
    bench.close()


def change(path: Path, metadata: dict[str, str] | None = None, **arrays: Any) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as stored:
        facts = stored.metadata()
    save_file({**load_file(path), **arrays}, path, metadata={**facts, **(metadata or {})})


def test_vectors_of_another_encoder_are_not_used(tmp_path: Path, folder: Path) -> None:
    stale = folder / "vectors" / f"{DIFFUSION.encoder_id}.safetensors"
    change(stale, {"fingerprint": "f" * 64, "passage_fingerprint": "0" * 64})
    load = Loader()
    bench = seeded(tmp_path, folder, load)
    report = bench.index()
    assert report.passages_embedded == {DIFFUSION.encoder_id: 2, AUTOREGRESSIVE.encoder_id: 0}
    bench.close()


def test_passages_that_were_cut_otherwise_are_embedded_anew(tmp_path: Path, folder: Path) -> None:
    path = folder / "vectors" / f"{DIFFUSION.encoder_id}.safetensors"
    keys = load_file(path)["keys"].copy()
    keys[0] ^= 0xFF  # one passage reads differently now
    change(path, keys=keys)
    bench = seeded(tmp_path, folder, Loader())
    assert bench.index().passages_embedded[DIFFUSION.encoder_id] == 1
    bench.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * len(data),
        lambda data: data[:-1],
    ],
    ids=["empty", "half", "noise", "one byte short"],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, folder: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = folder / "vectors" / f"{DIFFUSION.encoder_id}.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    bench = seeded(tmp_path, folder, Loader())
    assert bench.index().passages_embedded == {
        DIFFUSION.encoder_id: 2,
        AUTOREGRESSIVE.encoder_id: 0,
    }
    assert bench.ask("who hunts mice").columns[0].ranking.hits
    bench.close()


@pytest.mark.parametrize(
    "arrays",
    [
        {"embeddings": np.eye(1, 64, dtype=np.float32)},
        {"embeddings": np.full((2, 64), np.nan, np.float32)},
        {"keys": np.zeros((2, 7), np.uint8)},
    ],
    ids=["too few rows", "not finite", "short keys"],
)
def test_arrays_that_do_not_belong_together_are_not_used(
    tmp_path: Path, folder: Path, arrays: dict[str, Any]
) -> None:
    change(folder / "vectors" / f"{DIFFUSION.encoder_id}.safetensors", None, **arrays)
    bench = seeded(tmp_path, folder, Loader())
    bench.index()
    assert bench.ask("who hunts mice").columns[0].ranking.hits
    bench.close()


def test_seeding_twice_adds_nothing(tmp_path: Path, folder: Path) -> None:
    bench = seeded(tmp_path, folder, Loader())
    seed_sample(bench, folder)
    assert len(bench.documents()) == 2
    bench.close()


def test_a_sample_pdf_that_cannot_be_read_is_an_error(tmp_path: Path, folder: Path) -> None:
    (folder / "pdf" / "broken.pdf").write_bytes(truncated_pdf(0.1))
    with pytest.raises(DatasetError, match="incomplete"):
        seeded(tmp_path, folder, Loader())


def test_writing_leaves_no_file_of_an_earlier_pair(tmp_path: Path, folder: Path) -> None:
    old = folder / "vectors" / "old-encoder.safetensors"
    old.write_bytes(b"")
    bench = seeded(tmp_path, folder, Loader())
    write_sample_vectors(bench, folder)
    assert not old.exists()
    bench.close()
