"""The documentation, held against the code: links, names, keys, tables; and the diagram of a batch's life.

`python tests/unit/test_docs.py` writes the diagram into docs/architecture.md.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomli

from scorewatch.cli.commands import COMMANDS
from scorewatch.core.draft import Instant
from scorewatch.core.house import House
from scorewatch.core.lifecycle import MOVES
from scorewatch.daemon.status import StatusFile
from scorewatch.model.batches import BatchState, MiniBatch, SealReason
from scorewatch.model.decisions import ListSkipped, Publish
from scorewatch.model.errors import ExitCode
from scorewatch.model.files import Observation, Refusal, RefusalReason
from scorewatch.model.outcomes import Failure, FailureKind, OutputFile, Receipt
from scorewatch.model.policy import Policy
from scorewatch.outbox.manifest import compose, quarantine_errors, skip_errors
from scorewatch.settings.problems import keys_of
from scorewatch.settings.schema import Settings
from scorewatch.telemetry.vocabulary import CHAPTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIAGRAM = re.compile(r"(<!-- lifecycle: [^\n]*-->\n).*?(<!-- end of lifecycle -->)", re.DOTALL)


def named(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return BLOCK.sub("", text)


def blocks(text: str, language: str) -> list[str]:
    return [body for spoken, body in BLOCK.findall(text) if spoken == language]


def anchors(page: Path) -> set[str]:
    """Where links into a page may lead, spelled as the usual renderers spell them."""
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def first_cells(page: str, heading: str = "") -> Iterator[str]:
    """The first cell of each row of the tables below a heading, up to the next heading of any rank."""
    text = (DOCS / page).read_text()
    if heading:
        text = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
        text = re.split(r"^#+ ", text, flags=re.MULTILINE)[0]
    yield from re.findall(r"^\| (.+?) \|", text, re.MULTILINE)


def in_ticks(cells: Iterator[str]) -> list[str]:
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


# ---------------------------------------------------------------- every page
@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{named(page)} links to {target}"
        assert there.is_relative_to(REPOSITORY), f"{named(page)} links out of the repository: {target}"
        assert not anchor or anchor in anchors(there), f"{named(page)} links to {target}, which has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_holds_what_it_should_not(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"\w+://|www\.|\bpypi\b|git@", text, re.IGNORECASE), "an address"
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)\b", text), "a path of somebody's machine"
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", text), "something left to do"
    assert max(map(len, prose(text).splitlines()), default=0) <= 1200, "a line without an end"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_named_are_there(page: Path) -> None:
    for path in re.findall(r"`((?:scorewatch|tests|docs|systemd|examples|config|\.ci)/[\w./@-]*)`", page.read_text()):
        assert (REPOSITORY / path).exists(), f"{named(page)} names {path}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_keys_in_examples_are_known(page: Path) -> None:
    for block in blocks(page.read_text(), "toml"):
        for section, keys in tomli.loads(block).items():
            assert section in Settings.model_fields, f"{named(page)}: [{section}]"
            unknown = set(keys) - set(keys_of(section))
            assert not unknown, f"{named(page)}: [{section}] {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_in_examples_is_python(page: Path) -> None:
    for block in blocks(page.read_text(), "python"):
        ast.parse(block)


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, todo = set(), [REPOSITORY / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", page.read_text())
        todo += [(page.parent / target).resolve() for target in links]
    assert sorted(map(named, set(PAGES) - seen)) == []


# ---------------------------------------------------------------- what the code has, the pages have
def test_every_command_has_its_line() -> None:
    lines = [cell.removeprefix("`").split()[1].rstrip("`") for cell in first_cells("index.md") if "scorewatch " in cell]
    assert sorted(lines) == sorted(COMMANDS)
    headings = re.findall(r"^## scorewatch (\w+)", (DOCS / "cli.md").read_text(), re.MULTILINE)
    assert sorted(set(headings)) == sorted(COMMANDS)


def test_every_key_of_the_configuration_has_its_line() -> None:
    for section in Settings.model_fields:
        assert in_ticks(first_cells("configuration.md", f"[{section}]")) == list(keys_of(section))


def test_every_event_has_its_line() -> None:
    for chapter, events in CHAPTERS.items():
        assert in_ticks(first_cells("logs.md", chapter)) == list(events)


def test_every_exit_code_has_its_line() -> None:
    told = [int(cell) for cell in first_cells("exit-codes.md") if cell.isdecimal()]
    assert told == sorted(set(told))
    assert set(map(int, ExitCode)) | {1, 130, 141} == set(told)  # besides the service's own: see the page


def test_the_unit_and_the_pages_agree_on_what_a_restart_cannot_mend() -> None:
    unit = (REPOSITORY / "systemd" / "scorewatch@.service").read_text()
    [codes] = re.findall(r"^RestartPreventExitStatus=(.+)$", unit, re.MULTILINE)
    spelled = ", ".join(codes.split()[:-1]) + " and " + codes.split()[-1]
    for page in ("exit-codes.md", "how-to/run-under-systemd.md"):
        assert spelled in (DOCS / page).read_text()


def test_every_kind_of_failure_and_reason_to_skip_is_explained() -> None:
    failures = in_ticks(first_cells("how-to/deal-with-failures.md", "Who pays for what"))
    assert sorted(set(failures) - {"kind", "reason"}) == sorted(FailureKind)
    refusals = in_ticks(first_cells("how-to/choose-how-files-arrive.md", "What is never scored"))
    assert sorted(set(refusals) - {"reason", "errors/"}) == sorted(RefusalReason)


def some_batch() -> MiniBatch:
    files = (Observation("a.txt", 3), Observation("b.txt", 4))
    return MiniBatch(
        batch_id="20261122T213741Z-8f0c2a6b1d3e4f5a6b7c",
        files=files,
        total_bytes=7,
        sealed_because=SealReason.FILES,
        sealed_at=0.0,
        tries=4,
    )


def test_every_key_of_a_manifest_has_its_line() -> None:
    receipt = Receipt(
        batch_id="",
        dispatch=1,
        rows=1,
        succeeded=1,
        output_files=(OutputFile(name="predictions.parquet", size_bytes=1),),
        failed_files=(("a.txt", "why"),),
        note="why",
        schema_conflicts=({"column": "x"},),
    )
    told = Publish(batch=some_batch(), receipt=receipt, staging="", worker_id=1, slot=0, model="", script_sha256="")
    manifest = compose(told, deployment="d", version="1", committed_at=0.0, device="cpu")
    assert sorted(in_ticks(first_cells("outbox.md", "`_manifest.json`"))) == sorted(manifest)
    text = (DOCS / "outbox.md").read_text()
    assert f"{{{', '.join(manifest['files'][0])}}}" in text
    assert f"{{{', '.join(manifest['outputs'][0])}}}" in text
    assert f"{{{', '.join(manifest['seconds'])}}}" in text
    for reason in SealReason:
        assert f"`{reason}`" in text


def test_every_key_of_a_line_in_errors_has_its_line() -> None:
    failure = Failure(kind=FailureKind.SCRIPT_RAISED, message="why")
    [quarantined, _] = quarantine_errors(some_batch(), failure, deployment="d", at=0.0)
    refusal = Refusal("a.txt", RefusalReason.EMPTY, "why")
    [skipped] = skip_errors(ListSkipped(skip_id="x", refusals=(refusal,)), deployment="d", at=0.0)
    assert sorted(in_ticks(first_cells("outbox.md", "errors/"))) == sorted({**quarantined, **skipped})


def test_every_key_of_the_status_file_has_its_line(tmp_path: Path) -> None:
    StatusFile(tmp_path, "d", 0.0).write(House(Policy(), ()), [], "running", Instant(0.0, 0.0))
    status: dict[str, Any] = json.loads((tmp_path / "status.json").read_text())
    assert sorted(in_ticks(first_cells("status.md"))) == sorted(status)
    text = (DOCS / "status.md").read_text()
    for nested in ("counts", "waiting"):
        for key in status[nested]:
            assert f"`{key}`" in text


def test_each_word_stands_once_in_the_glossary_and_in_order() -> None:
    words = [cell for cell in first_cells("glossary.md") if cell not in {"word", "---"}]
    assert words == sorted(set(words))
    assert len(words) > 30


def test_decisions_are_numbered_listed_and_complete() -> None:
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (DOCS / "decisions" / "README.md").read_text())
    assert listed == [page.name for page in pages]
    for number, page in enumerate(pages, start=1):
        text = page.read_text()
        assert text.startswith(f"# {number:04}. ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Price"]


def test_the_defaults_that_pages_tell_are_the_code_s() -> None:
    policy = Policy()
    failures = (DOCS / "how-to" / "deal-with-failures.md").read_text()
    assert (policy.breaker.batches, policy.breaker.window_share, policy.breaker.window_files) == (10, 0.8, 100)
    assert "(10)" in failures
    assert "80 % of\nthe last 100 files" in failures
    assert f"{policy.breaker.first_pause_s:g} seconds, doubled up to {policy.breaker.longest_pause_s:g}" in failures
    assert (
        f"{policy.retry.first_delay_s} seconds, doubled each time, up to {policy.retry.longest_delay_s:g}" in failures
    )


# ---------------------------------------------------------------- the life of a batch
def diagram() -> str:
    """The table of legal moves, for renderers of Mermaid."""
    arrows = [f"    {was} --> {now}" for was in BatchState for now in BatchState if now in MOVES[was]]
    ends = [f"    {state} --> [*]" for state in BatchState if not MOVES[state]]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {BatchState.CLAIMED}", *arrows, *ends, "```", ""])


def with_diagram(page: str) -> str:
    return DIAGRAM.sub(lambda found: found[1] + diagram() + found[2], page)


def test_the_diagram_is_the_code_s() -> None:
    page = (DOCS / "architecture.md").read_text()
    assert DIAGRAM.search(page)
    assert page == with_diagram(page), "run `python tests/unit/test_docs.py`"


def test_every_state_is_told_of_in_the_architecture() -> None:
    page = (DOCS / "architecture.md").read_text()
    assert [state for state in BatchState if state.upper() not in page] == []


if __name__ == "__main__":
    ARCHITECTURE = DOCS / "architecture.md"
    ARCHITECTURE.write_text(with_diagram(ARCHITECTURE.read_text()))
