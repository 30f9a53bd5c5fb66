"""What the documents say is there is there, and what is there is in the documents."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from deemo_data.cli.app import cli, reference
from deemo_data.labels.vocabulary import load_emotions, load_nfbl
from deemo_data.pipeline.order import STAGE_ORDER
from deemo_data.project.config import PROFILES, profile_text, read_config

REPO = Path(__file__).resolve().parents[1]
PAGES = [REPO / "README.md", REPO / "CHANGELOG.md", *sorted((REPO / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def page(name: str) -> str:
    path = REPO / "docs" / name
    assert path.is_file(), f"docs/{name} is not there" + (": type make docs" if name == "cli.md" else "")
    return path.read_text("utf-8")


def quoted(text: str) -> set[str]:
    """What stands in single backticks, outside code blocks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────


def commands(group: click.Group, path: str = "deemo") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield f"{path} {name}", command
            if isinstance(command, click.Group):
                yield from commands(command, f"{path} {name}")


def test_the_reference_is_fresh() -> None:
    assert page("cli.md") == reference(), "docs/cli.md is not that of now: type make docs"


@pytest.mark.parametrize(("path", "command"), [pytest.param(*c, id=c[0]) for c in commands(cli)])
def test_every_command_is_explained(path: str, command: click.Command) -> None:
    assert len((command.help or "").split()) > 3
    assert f"\n## {path}\n" in page("cli.md")
    assert [o.name for o in command.params if isinstance(o, click.Option) and not o.help] == []


def test_commands_that_documents_name_exist() -> None:
    known = {path for path, _ in commands(cli)} | {"deemo"}
    for path in PAGES:
        for said in re.findall(r"`(deemo [a-z]+(?: [a-z]+)?)\b", path.read_text("utf-8")):
            words = said.split()
            assert {" ".join(words[:2]), said} & known, f"{path.name}: {said}"


# ── deemo.toml ───────────────────────────────────────────────────────────────────────────────────────────────


def tables(tmp_path: Path, text: str = "") -> dict[str, Any]:
    """Table name -> the object that is made of it."""
    (tmp_path / "deemo.toml").write_text(text)
    made = read_config(tmp_path / "deemo.toml")
    plain = {f.name: getattr(made, f.name) for f in fields(made) if f.name != "attempts"}
    return plain | {snake(type(stage).__name__): stage for stage in made.attempts[0]}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_says_every_key(tmp_path: Path, profile: str) -> None:
    text = profile_text(profile)
    said = {name: set(table) for name, table in tomllib.loads(text).items() if name != "attempt"}
    made = tables(tmp_path, text)
    assert said == {name: {f.name for f in fields(table)} for name, table in made.items()}


def test_hardened_is_the_default(tmp_path: Path) -> None:
    assert tables(tmp_path, profile_text("hardened")) == tables(tmp_path)


def test_every_key_and_its_value_is_in_data_md(tmp_path: Path) -> None:
    rows: dict[str, dict[str, str]] = {}
    at: list[str] = []
    for line in page("data.md").split("### deemo.toml")[1].split("\n### ")[0].splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 4 and line.startswith("|"):
            at = re.findall(r"\[([a-z_]+)\]", cells[0]) or at
            for name in at:
                values = cells[2].split(", ")
                keys = re.findall(r"`([a-z_0-9]+)`", cells[1])
                rows.setdefault(name, {}).update(
                    {k: values[i] if len(values) == len(keys) else cells[2] for i, k in enumerate(keys)}
                )
    hardened, paper = (tables(tmp_path, profile_text(p)) for p in PROFILES)
    for name, table in hardened.items():
        assert set(rows.get(name, {})) == {f.name for f in fields(table)}, name
        for f in fields(table):
            said, mine, theirs = rows[name][f.name], plain(getattr(table, f.name)), plain(getattr(paper[name], f.name))
            if said == "weights":
                assert re.search(r"-[0-9a-f]{6}$", mine), f"{name}.{f.name}"
                assert mine == theirs
                continue
            assert value(said.split(" [")[0]) == mine, f"{name}.{f.name}"
            assert value(said.split(" [")[1].rstrip("]") if " [" in said else said) == theirs, f"{name}.{f.name} of deemo-paper"


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def value(said: str) -> Any:
    return tomllib.loads(f"it = {said.strip('`')}")["it"]


# ── data.md ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_stage_is_in_data_md() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| `([a-z_]+)`: ([\w.]+) \|", page("data.md"), flags=re.MULTILINE)
    assert rows == [(snake(s.__name__), name, file) for s in STAGE_ORDER for name, file in s.makes.items()]
    assert {fact for s in STAGE_ORDER for fact in s.tells} <= quoted(page("data.md"))


def names(feature: Any) -> Iterator[str]:
    """All columns and the fields within them."""
    inner = getattr(feature, "feature", feature)
    if isinstance(inner, dict):
        for name, one in inner.items():
            yield name
            yield from names(one)


@pytest.mark.parametrize("config", ["nfbl", "mer"])
def test_every_column_is_in_data_md(config: str) -> None:
    from deemo_data.dataset.tables import mer_features, nfbl_features

    features = nfbl_features(load_nfbl("nfbl")) if config == "nfbl" else mer_features(load_emotions("emotions"))
    section = page("data.md").split("## The dataset")[1].split(f"### {config}\n")[1].split("\n### ")[0]
    assert set(names(dict(features))) - quoted(section) == set()


def test_every_level_and_split_is_in_data_md() -> None:
    from deemo_data.dataset.layout import SPLITS
    from deemo_data.dataset.tables import ANNOTATION_LEVELS

    assert {*ANNOTATION_LEVELS, *SPLITS} <= quoted(page("data.md"))


def test_columns_of_tables_are_in_data_md() -> None:
    from deemo_data.labels.label import Label, PushRecord
    from deemo_data.sources.source_table import COLUMNS
    from deemo_data.sources.subjects import Person
    from deemo_data.tracks.faces import FACE_COLUMNS

    said = quoted(page("data.md"))
    assert {*COLUMNS, *FACE_COLUMNS, *(f.name for f in (*fields(Label), *fields(PushRecord)))} <= said
    assert ", ".join(Person._fields) in said


def test_every_public_fact_is_in_data_md() -> None:
    from deemo_data.project.release import PUBLIC_FACTS, PUBLIC_FILES

    assert {*PUBLIC_FACTS, *PUBLIC_FILES} <= quoted(page("data.md"))


# ── links and words ──────────────────────────────────────────────────────────────────────────────────────────


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(REPO)))
def test_links_point_to_something(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(there), f"{link}: no such heading"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(REPO)))
def test_no_promise_that_nobody_can_keep(path: Path) -> None:
    """De-identified is what the clips are. Not the other word, unless to say so."""
    said = re.findall(r"\b(anonymous|irreversibl[ey]|unrecognisable)\b", path.read_text("utf-8"), flags=re.IGNORECASE)
    assert said == []


def test_decisions_are_short_and_numbered() -> None:
    records = sorted((REPO / "docs" / "decisions").glob("*.md"))
    assert [int(p.name[:4]) for p in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {path.name[:4]} ")
        assert len(text.splitlines()) <= 40, path.name
        assert all(f"**{part}" in text for part in ("Context", "Decision", "Rejected")), path.name


def test_examples_in_the_documents_are_python() -> None:
    for path in PAGES:
        for block in re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), flags=re.DOTALL):
            whole = re.sub(r"^\.\.\.\n", "", block, flags=re.MULTILINE)
            if not whole.startswith(" "):
                compile(whole, path.name, "exec")
        for block in re.findall(r"```toml\n(.*?)```", path.read_text("utf-8"), flags=re.DOTALL):
            tomllib.loads(block)


def test_the_changelog_knows_this_version() -> None:
    from deemo_data import __version__

    assert f"\n## {__version__}\n" in (REPO / "CHANGELOG.md").read_text("utf-8")


EXAMPLES = {
    "measure_motion.py",
    "test_measure_motion.py",
    "yunet.py",
    "test_yunet.py",
    "loudness.py",
    "test_loudness.py",
    "citation.py",
    "test_citation.py",
}


@pytest.mark.parametrize("path", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=lambda p: p.relative_to(REPO).as_posix())
def test_python_files_that_a_page_names_are_there(path: Path) -> None:
    """Whole paths or their ends: `pipeline/order.py`. The files of examples (docs/extend.md) are made by the reader."""
    files = [
        f"/{p.relative_to(REPO).as_posix()}" for folder in ("deemo_data", "tests", "bench") for p in (REPO / folder).rglob("*.py")
    ]
    named = {name for name in quoted(path.read_text("utf-8")) if re.fullmatch(r"[\w/]+\.py", name) and "NAME" not in name}
    assert [
        n for n in sorted(named) if n.rpartition("/")[2] not in EXAMPLES and not any(f.endswith(f"/{n}") for f in files)
    ] == []
