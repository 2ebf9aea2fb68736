"""`python -m core doctor`: is everything here, is it unchanged, does it work?"""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from core.cli.options import JsonOption
from core.cli.output import EXIT_ERROR, make_pool, print_json, told
from core.documents import read_document
from core.encoders.spec import TextKind
from core.encoders.tokens import neutral_counter
from core.errors import CoreError
from core.search import choose_backend
from core.settings import ASSETS, DEFAULT_PAIR

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = ("torch", "transformers", "gradio", "faiss-cpu", "pypdf", "pypdfium2", "numpy")
_TEXTS = ("A sluice lets the river pass.", "Lichens grow slowly on north-facing stone.")
_FAISS_CHECK = (
    "import torch, faiss, numpy as np;"
    "index = faiss.IndexFlatIP(4); index.add(np.eye(4, dtype='float32'));"
    "assert index.search(np.eye(4, dtype='float32')[:1], 1)[1][0, 0] == 0;"
    "print(torch.get_num_threads(), faiss.omp_get_max_threads())"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    good: bool
    detail: str


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("doctor")(told(doctor))


def doctor(
    *,
    pair: Annotated[str, typer.Option(help="Whose encoders to load and prove.")] = DEFAULT_PAIR,
    json: JsonOption = False,
) -> None:
    """Check packages, PDF worker, FAISS beside torch, weights' hashes, attention and vectors."""
    checks = [
        Check("python", sys.version_info >= (3, 11), platform.python_version()),
        *(_tried(name, partial(version, name)) for name in PACKAGES),
        _tried("pdf worker", _pdf_worker),
        _tried("tokenizer", lambda: f"{neutral_counter(ASSETS)(['one two'])[0]} tokens"),
        _tried("faiss beside torch (threads)", _faiss),
        Check("search backend", good=True, detail=choose_backend().value),
    ]
    pool = make_pool()
    checks += [Check("registry", good=False, detail=text) for text in pool.registry.problems]
    for spec in pool.registry.specs_of(pair):

        def prove(encoder_id: str = spec.encoder_id) -> str:
            # Loading checks hashes and runs the attention probe.
            encoder = pool.get(encoder_id)
            vectors = encoder.encode(_TEXTS, kind=TextKind.PASSAGE)
            norms = np.linalg.norm(vectors, axis=1)
            if not np.allclose(norms, 1.0, atol=1e-4):
                raise CoreError(f"vectors are not of unit length: {norms}")
            return (
                f"hashes good, attention {encoder.spec.attention.value} proved on "
                f"{encoder.device}, {vectors.shape[1]} dimensions"
            )

        checks.append(_tried(spec.label, prove))
    if json:
        print_json({"good": all(check.good for check in checks), "checks": checks})
    else:
        for check in checks:
            typer.echo(f"{'ok ' if check.good else 'BAD'}  {check.name}: {check.detail}")
    if not all(check.good for check in checks):
        raise typer.Exit(EXIT_ERROR)


def _tried(name: str, work: Callable[[], str]) -> Check:
    try:
        return Check(name, good=True, detail=work())
    except (CoreError, PackageNotFoundError, OSError, subprocess.SubprocessError) as error:
        return Check(name, good=False, detail=str(error) or type(error).__name__)


def _pdf_worker() -> str:
    path = min((ASSETS / "sample" / "pdf").glob("*.pdf"), key=lambda p: p.stat().st_size)
    document = read_document(path.read_bytes(), path.name)
    return f"{path.name}: {len(document.pages)} pages, {len(document.text):,} characters"


def _faiss() -> str:
    """Run both in a process of their own: two OpenMP runtimes in one may end it."""
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", _FAISS_CHECK],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.strip()
