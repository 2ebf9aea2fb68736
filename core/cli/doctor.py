"""`python -m core doctor`: is everything here, is it unchanged, does it work?"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import numpy as np
from typer import Exit, Option, echo

from core.cli.output import EXIT_ERROR, JsonOption, cli, make_pool, print_json
from core.documents import read_document
from core.encoders.spec import TextKind
from core.encoders.tokens import neutral_counter
from core.errors import CoreError
from core.search import choose_backend
from core.settings import ASSETS, DEFAULT_PAIR

PACKAGES = ("torch", "transformers", "gradio", "faiss-cpu", "pypdf", "pypdfium2", "numpy")
_TEXTS = ("A sluice lets the river pass.", "Lichens grow slowly on north-facing stone.")
_FAISS_CHECK = (
    "import torch, faiss, numpy as np;"
    "index = faiss.IndexFlatIP(4); index.add(np.eye(4, dtype='float32'));"
    "assert index.search(np.eye(4, dtype='float32')[:1], 1)[1][0, 0] == 0;"
    "print(torch.get_num_threads(), faiss.omp_get_max_threads())"
)


def _check(name: str, detail: str, *, good: bool = True) -> dict[str, Any]:
    return {"name": name, "good": good, "detail": detail}


@cli.command()
def doctor(
    *,
    pair: Annotated[str, Option(help="Whose encoders to load and prove.")] = DEFAULT_PAIR,
    json: JsonOption = False,
) -> None:
    """Check packages, PDF worker, FAISS beside torch, weights' hashes, attention and vectors."""
    checks = [
        _check("python", platform.python_version(), good=sys.version_info >= (3, 11)),
        *(_tried(name, partial(version, name)) for name in PACKAGES),
        _tried("pdf worker", _pdf_worker),
        _tried("tokenizer", lambda: f"{neutral_counter(ASSETS)(['one two'])[0]} tokens"),
        _tried("faiss beside torch (threads)", _faiss),
        _check("search backend", choose_backend().value),
    ]
    pool = make_pool()
    checks += [_check("registry", text, good=False) for text in pool.registry.problems]
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
        print_json({"good": all(check["good"] for check in checks), "checks": checks})
    else:
        for check in checks:
            echo(f"{'ok ' if check['good'] else 'BAD'}  {check['name']}: {check['detail']}")
    if not all(check["good"] for check in checks):
        raise Exit(EXIT_ERROR)


def _tried(name: str, work: Callable[[], str]) -> dict[str, Any]:
    try:
        return _check(name, work())
    except (CoreError, PackageNotFoundError, OSError, subprocess.SubprocessError) as error:
        return _check(name, str(error) or type(error).__name__, good=False)


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
