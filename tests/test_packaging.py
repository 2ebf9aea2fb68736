"""The lists of packages agree with one another, and the README's Space header with them."""

from __future__ import annotations

import ast
import re
import sys

from packaging.specifiers import SpecifierSet

from tests.tools.lock import (
    CONSTRAINTS,
    REQUIREMENTS,
    ROOT,
    normalised,
    pins,
    requirement_name,
    runtime_dependencies,
)


def test_requirements_pin_exactly_the_runtime_dependencies() -> None:
    wanted = {requirement_name(line) for line in runtime_dependencies()}
    assert set(pins(REQUIREMENTS.read_text(encoding="utf-8"))) == wanted


def test_every_pin_satisfies_its_floor() -> None:
    pinned = pins(REQUIREMENTS.read_text(encoding="utf-8"))
    for line in runtime_dependencies():
        name = requirement_name(line)
        bounds = line[re.match(r"[A-Za-z0-9._-]+", line).end() :]  # type: ignore[union-attr]
        assert SpecifierSet(bounds).contains(pinned[name]), line


def test_requirements_and_constraints_name_the_same_versions() -> None:
    constraints = pins(CONSTRAINTS.read_text(encoding="utf-8"))
    for name, version in pins(REQUIREMENTS.read_text(encoding="utf-8")).items():
        assert constraints[name] == version


def test_every_dependency_is_imported_and_every_import_is_declared() -> None:
    stated = {requirement_name(line) for line in runtime_dependencies()}
    stated |= {"gguf", "mteb", "sentence-transformers", "spaces", "umap"}  # of extras
    modules = {"faiss": "faiss-cpu", "starlette": "gradio", "markupsafe": "jinja2"}
    modules |= {"gradio_client": "gradio", "PIL": "pillow", "pydantic_core": "pydantic"}
    modules |= {"docx": "python-docx"}
    imported = set()
    for path in (ROOT / "app.py", *ROOT.glob("core/**/*.py"), *ROOT.glob("demo/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0] for name in names}
    imported -= sys.stdlib_module_names | {"app", "core", "demo"}
    needed = {normalised(modules.get(name, name)) for name in imported}
    assert needed <= stated
    # pypdf loads cryptography for AES; mteb is loaded by name
    assert stated - needed <= {"cryptography", "mteb"}


def test_space_header_names_the_pinned_gradio() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    header = readme.split("---")[1]
    fields = dict(line.split(":", 1) for line in header.strip().splitlines() if ":" in line)
    pinned = pins(REQUIREMENTS.read_text(encoding="utf-8"))
    assert fields["sdk"].strip() == "gradio"
    assert fields["sdk_version"].strip() == pinned["gradio"]
    assert fields["app_file"].strip() == "app.py"
    assert fields["python_version"].strip().strip('"') == "3.11"
