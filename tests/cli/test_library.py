"""index, search, compare, documents, remove, export: from the terminal, exit codes included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.store.workspace import Workspace
from tests import tesseract
from tests.cli.conftest import Terminal
from tests.pdfs import PASSWORD, encrypted_pdf, partly_scanned_pdf, plain_pdf, scanned_pdf

QUERY = "who hunts mice at night"


# -- index -------------------------------------------------------------------------------------


def test_a_folder_stands_for_the_readable_files_in_it(
    terminal: Terminal, papers: Path, tmp_path: Path
) -> None:
    result = terminal("index", papers, "-w", tmp_path / "w")
    assert result.exit_code == 0
    assert "owls.md: 1 of 1 pages have text, 1 passages" in result.stdout
    assert "hash-diffusion: 3 passages embedded, 0 reused" in result.stdout
    assert "xlsx" not in result.stdout
    assert result.stderr == ""  # no progress where stderr is not a terminal


def test_index_again_embeds_nothing(terminal: Terminal, papers: Path, workspace: Path) -> None:
    report = terminal.json("index", papers, "-w", workspace)
    assert all(line["duplicate_of"] for line in report["documents"])
    assert not any(report["passages_embedded"].values())


def test_skipped_files_are_named_with_the_reason_and_exit_code_3(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "good.pdf").write_bytes(plain_pdf())
    (tmp_path / "scan.pdf").write_bytes(scanned_pdf())
    (tmp_path / "empty.pdf").write_bytes(b"")
    (tmp_path / "locked.pdf").write_bytes(encrypted_pdf())
    names = ["good", "scan", "empty", "locked"]
    files = [tmp_path / f"{name}.pdf" for name in names]
    result = terminal("index", *files, "-w", tmp_path / "w")
    assert result.exit_code == 3
    for name in names[1:]:
        assert f"skipped {name}.pdf: " in result.stdout
    assert "good.pdf: 1 of 1 pages" in result.stdout


def test_scanned_pages_are_read_when_asked_for_and_named_when_not(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scan.pdf").write_bytes(scanned_pdf())
    (tmp_path / "half.pdf").write_bytes(partly_scanned_pdf(["Two barges waited below.", ""]))
    files = [tmp_path / "scan.pdf", tmp_path / "half.pdf", "-w", tmp_path / "w"]
    with monkeypatch.context() as bare:
        bare.setenv("PATH", str(tmp_path))
        without = terminal("index", *files)
        refused = terminal("index", *files, "--ocr", "eng")
    assert "half.pdf: 1 of 2 pages have text" in without.stdout
    assert "Install tesseract with the languages" in without.stdout
    assert refused.exit_code == 2
    assert "tesseract is not installed" in refused.stderr
    tesseract.install(tmp_path / "bin", monkeypatch, [("Water", "fell", "for", "hours.")])
    assert "index --ocr reads scanned pages: deu, eng." in terminal("index", *files).stdout
    result = terminal("index", *files, "--ocr", "eng")
    assert result.exit_code == 0
    assert "scan.pdf: 1 of 1 pages have text, 1 passages" in result.stdout
    assert "half.pdf: 2 of 2 pages have text, 1 passages" in result.stdout
    assert "  Page 2 was read by OCR (tesseract, eng): letters may be wrong." in result.stdout
    again = terminal("index", *files, "--ocr", "eng")
    assert again.stdout.count("(already here)") == 2
    (bm25,) = terminal.json("search", "Water", "-w", tmp_path / "w", "--system", "bm25")["systems"]
    assert {hit["document"] for hit in bm25["hits"]} == {"scan.pdf", "half.pdf"}


def test_passwords(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "locked.pdf"
    path.write_bytes(encrypted_pdf())
    wrong = terminal("index", path, "-w", tmp_path / "w", "--password", "nope")
    assert wrong.exit_code == 3
    assert "password" in wrong.stdout
    right = terminal("index", path, "-w", tmp_path / "w", "--password", PASSWORD)
    assert right.exit_code == 0
    assert "1 of 1 pages have text" in right.stdout


def test_a_missing_path_is_wrong_usage(terminal: Terminal, tmp_path: Path) -> None:
    result = terminal("index", tmp_path / "gone.pdf", "-w", tmp_path / "w")
    assert result.exit_code == 2
    assert "gone.pdf does not exist" in result.stderr
    assert result.stdout == ""


def test_a_folder_with_nothing_to_read_is_wrong_usage(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    result = terminal("index", tmp_path / "pictures", "-w", tmp_path / "w")
    assert result.exit_code == 2
    assert "no PDF, Word" in result.stderr


def test_settings_given_once_are_kept(terminal: Terminal, papers: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    terminal("index", papers, "-w", folder, "--unit", "document", "--max-tokens", "32")
    terminal("index", papers, "-w", folder)
    comparison = terminal.json("compare", QUERY, "-w", folder)
    assert comparison["unit"] == "document"
    assert [column["max_tokens"] for column in comparison["columns"]] == [32, 32, 0]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--pair", "nobody"], 2, "no pair 'nobody'"),
        (["--chunk-tokens", "7"], 2, "chunk_tokens is 7"),
        (["--unit", "chapter"], 2, "chapter"),
        (["--max-tokens", "3"], 2, "max_tokens is 3"),
    ],
)
def test_options_that_cannot_work(
    terminal: Terminal, papers: Path, tmp_path: Path, options: list[str], code: int, said: str
) -> None:
    result = terminal("index", papers, "-w", tmp_path / "w", *options)
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_hostile_names_are_printed_plain(terminal: Terminal, tmp_path: Path) -> None:
    bad = tmp_path / "a\u202efdp\x1b[31m<b>.txt"
    bad.write_text("The barn owl hunts mice at night.")
    scan = tmp_path / "b\x1b]0;x\x07.pdf"
    scan.write_bytes(b"%PDF-1.4 nothing")
    for arguments in (
        ("index", bad, scan, "-w", tmp_path / "w"),
        ("compare", "owl \x1b[2J\u202e mice", "-w", tmp_path / "w", "--save"),
        ("search", "owl", "-w", tmp_path / "w"),
        ("documents", "-w", tmp_path / "w"),
    ):
        result = terminal(*arguments)
        assert result.exit_code in {0, 3}, result.output
        assert all(c.isprintable() or c == "\n" for c in result.output)


# -- search and compare ------------------------------------------------------------------------


def test_search_prints_every_systems_ranking(terminal: Terminal, workspace: Path) -> None:
    result = terminal("search", QUERY, "-w", workspace)
    assert result.exit_code == 0
    for label in ("hash-diffusion", "hash-autoregressive", "BM25"):
        assert label in result.stdout
    found = terminal.json("search", QUERY, "-w", workspace, "--system", "bm25", "-k", "5")
    (system,) = found["systems"]
    assert (system["system_id"], system["hits"][0]["rank"]) == ("bm25", 1)
    assert system["hits"][0]["document"] == "owls.md"


def test_search_with_words_nobody_wrote(terminal: Terminal, workspace: Path) -> None:
    result = terminal("search", "zzyzx", "-w", workspace, "--system", "bm25")
    assert "no word of the query occurs" in result.stdout


def test_compare_prints_words_table_and_figures(terminal: Terminal, workspace: Path) -> None:
    result = terminal("compare", QUERY, "-w", workspace)
    assert result.exit_code == 0
    assert "Overlap@10" in result.stdout
    assert "owls.md p. 1" in result.stdout
    fields = terminal.json("compare", QUERY, "-w", workspace, "--save")
    assert fields["comparison_id"]
    assert len(fields["columns"]) == 3


def test_compare_writes_a_report_of_one_file(
    terminal: Terminal, workspace: Path, tmp_path: Path
) -> None:
    report = tmp_path / "deep" / "report.html"
    assert terminal("compare", QUERY, "-w", workspace, "--html", report).exit_code == 0
    text = report.read_text(encoding="utf-8")
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert "hunts mice" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["compare", ""], 2, "empty"),
        (["compare", "owl", "-k", "4"], 2, "from 5 to 50"),
        (["search", "owl", "--system", "nobody"], 2, "Known: hash-diffusion"),
    ],
)
def test_questions_that_cannot_be_asked(
    terminal: Terminal, workspace: Path, arguments: list[str], code: int, said: str
) -> None:
    result = terminal(*arguments, "-w", workspace)
    assert result.exit_code == code
    assert said in result.stderr


def test_asking_where_there_is_no_workspace(terminal: Terminal, tmp_path: Path) -> None:
    for verb in (("search", "owl"), ("compare", "owl"), ("documents",)):
        result = terminal(*verb, "-w", tmp_path / "nothing")
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
    assert not (tmp_path / "nothing").exists()


def test_a_second_process_is_told_that_the_workspace_is_in_use(
    terminal: Terminal, workspace: Path
) -> None:
    with Workspace.open(workspace):
        result = terminal("compare", QUERY, "-w", workspace)
    assert result.exit_code == 1
    assert "another" in result.stderr.lower()
    assert "Traceback" not in result.output


# -- keeping -----------------------------------------------------------------------------------


def test_documents_lists_and_remove_removes(terminal: Terminal, workspace: Path) -> None:
    listed = terminal.json("documents", "-w", workspace)["documents"]
    owl = next(line for line in listed if line["name"] == "owls.md")
    assert terminal("remove", owl["doc_id"], "-w", workspace).exit_code == 0
    left = terminal.json("documents", "-w", workspace)["documents"]
    assert {line["name"] for line in left} == {"locks.txt", "tides.txt"}
    again = terminal("remove", owl["doc_id"], "-w", workspace)
    assert again.exit_code == 2
    assert "Error: " in again.stderr


def test_a_run_from_elsewhere_is_a_column(
    terminal: Terminal, workspace: Path, tmp_path: Path
) -> None:
    run = tmp_path / "theirs.trec"
    run.write_text("7 Q0 owls.md 1 0.9 theirs\n7 Q0 nowhere.pdf 2 0.5 theirs\n")
    texts = tmp_path / "queries.tsv"
    texts.write_text(f"7\t{QUERY.upper()}\n")
    found = terminal.json("compare", QUERY, "-w", workspace, "--run", run, "--run-queries", texts)
    column = next(c for c in found["columns"] if c["info"]["system_id"] == "run-theirs")
    assert (column["info"]["family"], len(column["ranking"]["hits"])) == ("imported", 1)
    assert "1 of 2 hits are of this library (1 by document)" in column["note"]
    result = terminal("compare", QUERY, "-w", workspace, "--run", run)  # its words are not known
    assert 'run-theirs: This run was not asked this query. It has 1: "7"' in result.stdout
    assert len(terminal.json("compare", QUERY, "-w", workspace)["columns"]) == 3  # it was not kept


def test_runs_are_kept_listed_and_forgotten(
    terminal: Terminal, workspace: Path, tmp_path: Path
) -> None:
    run = tmp_path / "theirs.csv"
    run.write_text(f"query,document,score\n{QUERY},owls,1\n{QUERY},gone,0.5\n")
    assert terminal.json("runs", "-w", workspace) == []
    (kept,) = terminal.json("runs", run, "-w", workspace)
    assert (kept["name"], kept["queries"]) == ("theirs", 1)
    assert (kept["matched"]["hits"], kept["matched"]["unmatched"]) == (2, 1)
    columns = terminal.json("compare", QUERY, "-w", workspace)["columns"]
    assert [
        len(c["ranking"]["hits"]) for c in columns if c["info"]["system_id"] == "run-theirs"
    ] == [1]
    assert "1 of 2 hits are of this library" in terminal("runs", "-w", workspace).stdout
    assert terminal.json("runs", "-w", workspace, "--remove", kept["run_id"]) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.csv", "a,b\n1,2\n", "expected columns query_id"),
        ("x.trec", "<script>alert(1)</script>\n", "expected qid Q0 docid rank score tag"),
        ("x.json", '{"q": {"p": "NaN"}}', "is not finite"),
    ],
)
def test_a_hostile_run_is_refused(
    terminal: Terminal, workspace: Path, tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    result = terminal("runs", tmp_path / name, "-w", workspace)
    assert result.exit_code == 1
    assert words in result.stderr
    assert terminal.json("runs", "-w", workspace) == []


def test_remove_tells_what_is_left(terminal: Terminal, workspace: Path) -> None:
    owl, *_ = (
        line
        for line in terminal.json("documents", "-w", workspace)["documents"]
        if line["name"] == "owls.md"
    )
    told = terminal.json("remove", owl["doc_id"], "-w", workspace)
    assert (told["removed"], told["name"], told["documents"]) == (owl["doc_id"], "owls.md", 2)
    left = terminal.json("documents", "-w", workspace)["documents"]
    assert told["passages"] == sum(line["passages"] for line in left)


def test_export_lists_what_it_wrote(terminal: Terminal, workspace: Path, tmp_path: Path) -> None:
    saved = terminal.json("compare", QUERY, "-w", workspace, "--save")["comparison_id"]
    out = tmp_path / "runs"
    told = terminal.json("export", saved, "-w", workspace, "--format", "trec", "--out", out)
    assert (told["comparison_id"], told["format"]) == (saved, "trec")
    assert {entry["file"]: entry["bytes"] for entry in told["files"]} == {
        str(path): path.stat().st_size for path in out.iterdir()
    }


@pytest.mark.parametrize("form", ["csv", "json", "trec", "quepid", "html"])
def test_export_in_every_format(
    terminal: Terminal, workspace: Path, tmp_path: Path, form: str
) -> None:
    saved = terminal.json("compare", QUERY, "-w", workspace, "--save")["comparison_id"]
    out = tmp_path / "out" / f"x.{form}"
    result = terminal("export", saved, "-w", workspace, "--format", form, "--out", out)
    assert result.exit_code == 0, result.output
    if form == "trec":
        runs = {path.name: path.read_text().splitlines() for path in out.iterdir()}
        assert set(runs) == {"hash-diffusion.trec", "hash-autoregressive.trec", "bm25.trec"}
        query_id, q0, _doc, rank, _score, tag = runs["bm25.trec"][0].split()
        assert (q0, rank, tag) == ("Q0", "1", "bm25")
        assert query_id.startswith("q")
        return
    text = out.read_text(encoding="utf-8")
    assert "owls.md" in text or form == "quepid"
    if form == "json":
        assert json.loads(text)["query"]["text"] == QUERY


def test_export_of_what_was_never_saved(
    terminal: Terminal, workspace: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.csv"
    result = terminal("export", "nothing", "-w", workspace, "--format", "csv", "--out", out)
    assert result.exit_code == 2
    assert not out.exists()


def test_an_export_that_cannot_be_written(
    terminal: Terminal, workspace: Path, tmp_path: Path
) -> None:
    saved = terminal.json("compare", QUERY, "-w", workspace, "--save")["comparison_id"]
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "x.csv"
    result = terminal("export", saved, "-w", workspace, "--format", "csv", "--out", out)
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
