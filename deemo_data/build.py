"""The whole line, step by step, over one project: what each command does to sources, clips and out/."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from deemo_data import (
    download,
    executors,
    footage,
    ingest,
    labels,
    pipeline,
    release,
    segment,
    speakers,
    store,
    versions,
    withdrawn,
)
from deemo_data.clip import Clip, write_clips
from deemo_data.config import Project, table_name
from deemo_data.errors import ConfigError, NotReleasable, ProjectError, plain
from deemo_data.executors import Terms
from deemo_data.export import Exported, Known, clear
from deemo_data.export import export as write_dataset
from deemo_data.pipeline import Failure, Stage, Watcher
from deemo_data.speakers import Turn
from deemo_data.stages.diarise import Diarise
from deemo_data.vocabulary import Emotions, Nfbl, load_emotions, load_nfbl

WRITTEN = ("clue_video", "clue_audio", "clue_text", "reasoning", "emotion_words")  # labels that people write freely
AT_ONCE = 2000  # clips that a process is handed to look up at a time: what takes longer than to start one
MADE = {name for stage in pipeline.ORDER for name in (*stage.makes, *stage.tells)}

T = TypeVar("T")


@dataclass(frozen=True)
class Missing:
    """Something that did not come out, why, and what to do: a line of out/ingest.json or out/run.json."""

    what: str
    step: str
    reason: str
    advice: str

    def __str__(self) -> str:
        return plain(f"{self.what}: {self.reason}" + (f". {self.advice}" if self.advice else ""))


@dataclass(frozen=True)
class Labels:
    """What `deemo pull --from-file` takes: a Label Studio export, and, where it is not of our clips, what its names mean."""

    export: Path
    match: Path | None = None
    vocabulary: str | None = None


def take_in(
    project: Project,
    where: str,
    consent: str | None,
    *,
    allow_local: bool = False,
    replace_all: bool = False,
    watcher: Watcher = Watcher(),  # noqa: B008
) -> tuple[list[Clip], list[Missing]]:
    """Ingest: add footage to sources.jsonl. What was said of a source before stays, unless something new is said.

    With `replace_all`, sources that are not among `where` are dropped, and their clips are taken back.
    """
    rows = ingest.read_sources(where)
    watcher.stage("Ingest", len({row.uri for row in rows}), 0)
    before = known_sources(project)
    with executors.crew() as crew:
        taken, refused = ingest.ingest(
            rows, secret=project.secret, downloads=project.private / "downloads", consent=consent,
            known=list(before.values()), vfr_fps=project.config.project.vfr_fps, subjects=project.private / "subjects.csv",
            allow_local_addresses=allow_local, probe=partial(footage.probed, crew), done=lambda uri: watcher.clip("Ingest"),
        )  # fmt: skip
    missing = [Missing(uri, "ingest", reason, advice) for uri, reason, advice in refused]
    with project.locked():
        taken = without_withdrawn(project, taken, missing)
        before = known_sources(project)  # anew: somebody may have ingested meanwhile
        for source in taken:
            before[source.source] = footage.remembering(source, before.get(source.source))
        here = {s.files["source"].path: s.source for s in taken}  # other bytes at a path: the old source is gone
        before = {i: s for i, s in before.items() if here.get(s.files["source"].path, i) == i}
        if replace_all:
            before = {s.source: before[s.source] for s in taken}
        clips = known_clips(project)
        write_clips(before.values(), project.root / "sources.jsonl")
        project.write_report("ingest.json", [vars(m) for m in missing])
        release.take_back(known_clips(project), project, gone=[c for c in clips if c.source not in before])
    if not before:
        raise ProjectError(
            f"no footage could be taken in from {download.shown(where)}",
            str(missing[0]) if missing else "The folder has no videos",
        )
    return taken, missing


def without_withdrawn(project: Project, taken: Sequence[Clip], missing: list[Missing]) -> list[Clip]:
    """Footage without what was withdrawn, also just now; of that, neither a download nor a line in subjects.csv is kept."""
    from deemo_data.forget import from_downloads

    gone = {s.source: s for s in taken if withdrawn.when(project, s)}
    ours = [s.path("source") for s in gone.values() if project.private in s.path("source").parents]
    from_downloads(project.private / "downloads", ours, set(gone))
    if gone:
        ingest.write_subjects(project.private / "subjects.csv", [], without=gone)
    for source in gone.values():
        reason = f"footage that was withdrawn on {withdrawn.when(project, source)[:10]} (deemo forget)"
        missing.append(Missing("a source", "ingest", reason, "Take it out of what you give to deemo"))
    return [s for s in taken if s.source not in gone]


def withdrawn_meanwhile(project: Project, clips: Sequence[Clip]) -> set[str]:
    """The sources that were withdrawn while we worked on their clips; what we made of them goes again. With the lock only."""
    from deemo_data.forget import from_store

    gone = withdrawn.among(project, {c.source for c in clips} - set(known_sources(project)))
    from_store(project.store, gone)
    return gone


def known_sources(project: Project) -> dict[str, Clip]:
    """{source id: source}; empty for a project that has none yet."""
    return {s.source: s for s in project.sources()} if (project.root / "sources.jsonl").exists() else {}


def known_clips(project: Project) -> list[Clip]:
    return project.clips() if (project.root / "clips.jsonl").exists() else []


def cut(
    project: Project,
    *,
    workers: int = 2,
    ray: str | None = None,
    watcher: Watcher = Watcher(),  # noqa: B008
) -> tuple[list[Clip], list[Missing]]:
    """Segment: sources.jsonl to clips.jsonl. A clip that was there with the same span keeps what was made of it."""
    how, secret, sources = project.config.segment, project.secret, project.sources()
    asked = [s for s in sources if not s.facts["spans"]]
    with executors.hired(ray, project.store) as cluster:
        _, failures = pipeline.run(
            [how], asked, store_dir=project.store, secret=secret, workers=workers, watcher=watcher, cluster=cluster
        )
    failed = {f.clip.source for f in failures}
    missing = [Missing(Path(f.clip.files["source"].path).name, "segment", f.reason, f.advice) for f in failures]
    could = {s.source for s in sources} - failed
    found = [c for s in sources if s.source in could for c in segment.segment(s, how, project.store, secret)]
    with project.locked():
        gone = withdrawn_meanwhile(project, sources)
        missing = [m for f, m in zip(failures, missing, strict=True) if f.clip.source not in gone]
        found = [c for c in found if c.source not in gone]
        before = {c.id: c for c in known_clips(project)}
        clips = [before.get(c.id, c) for c in found] + [c for c in before.values() if c.source not in could]
        write_clips(map(own, clips), project.root / "clips.jsonl")
        project.write_report("segment.json", [vars(m) for m in missing])
        now = {c.id for c in clips}
        release.take_back(clips, project, gone=[c for c in before.values() if c.id not in now])
    return clips, missing


def own(clip: Clip) -> Clip:
    """Of a clip, what the stages made: a row of clips.jsonl (what is known of the source, sources.jsonl says)."""
    files = {n: f for n, f in clip.files.items() if n in MADE}
    facts = {n: v for n, v in clip.facts.items() if n in MADE}
    return replace(clip, files=files, facts=facts)


def bare(clip: Clip) -> Clip:
    """Of a clip, what is known of its source: how it goes into its first stage."""
    files = {n: f for n, f in clip.files.items() if n not in MADE}
    facts = {n: v for n, v in clip.facts.items() if n not in MADE}
    return replace(clip, files=files, facts=facts)


def choose(stages: Sequence[Stage], until: str | None, only: str | None) -> set[str]:
    """Names of the stages that may do work: those up to `until` (included), or `only` one."""
    names = [table_name(type(s).__name__) for s in stages]
    for name in (until, only):
        if name is not None and name not in names:
            raise ConfigError(f"there is no stage {name!r}", f"Stages: {', '.join(names)}")
    end = names.index(until) + 1 if until else len(names)
    return {type(s).__name__ for s, n in zip(stages, names, strict=True) if n in names[:end] and only in (None, n)}


def run(
    project: Project,
    *,
    until: str | None = None,
    only: str | None = None,
    workers: int = 2,
    ray: str | None = None,
    watcher: Watcher = Watcher(),  # noqa: B008
) -> tuple[list[Clip], list[Missing]]:
    """All clips through the stages; those the leak check refused once more through each further [[attempt]]."""
    store.tidy(project.store)
    vocabularies(project)  # a typo there is better said now than after the night
    clips = [bare(c) for c in project.each_clip()]
    make = choose(project.config.attempts[0], until, only)
    with executors.hired(ray, project.store) as cluster:
        done, failed = through(project, clips, make, workers, watcher, cluster)
    missing = [Missing(i, table_name(f.stage), f.reason, f.advice) for i, f in sorted(failed.items())]
    missing += [
        Missing(c.id, "check_leaks", release.leaks_of(c), "It stays here: see docs/privacy.md")
        for c in done.values() if c.facts.get("leaks_passed") is False
    ]  # fmt: skip
    with project.locked():
        gone = withdrawn_meanwhile(project, clips)
        clips = [c for c in clips if c.source not in gone]
        here = {c.id for c in clips}
        done = {i: c for i, c in done.items() if i in here}
        missing = [m for m in missing if m.what in here]
        now = {i: f.clip for i, f in failed.items()} | done
        write_clips((own(now.get(c.id, c)) for c in project.each_clip()), project.root / "clips.jsonl")
        bugs = {i: f.bug for i, f in failed.items() if f.bug}
        lines = [vars(m) | ({"bug": bugs[m.what]} if m.what in bugs else {}) for m in missing]
        project.write_report("run.json", {"clips": len(clips), "came_out": len(clips) - len(missing), "did_not": lines})
        release.take_back(done.values(), project)
    return [c for c in done.values() if c.facts.get("leaks_passed") is not False], missing


def through(
    project: Project,
    clips: Sequence[Clip],
    make: set[str],
    workers: int = 0,
    watcher: Watcher = Watcher(),  # noqa: B008
    cluster: Terms | None = None,
) -> tuple[dict[str, Clip], dict[str, Failure]]:
    """Clips through the stages, by id: as far as they got, and why others did not. `make`: the stages that may work."""
    done: dict[str, Clip] = {}
    failed: dict[str, Failure] = {}
    for number, stages in enumerate(project.config.attempts):
        todo = clips if number == 0 else [c for c in done.values() if c.facts.get("leaks_passed") is False]
        if not todo:
            break
        got, failures = pipeline.run(
            stages, map(bare, todo), store_dir=project.store, secret=project.secret, workers=workers, make=make, watcher=watcher,
            cluster=cluster,
        )  # fmt: skip
        done |= {c.id: c for c in got if number == 0 or "leaks_passed" in c.facts}  # one not tried again keeps its refusal
        failed |= {f.clip.id: f for f in failures}
    return {i: c for i, c in done.items() if i not in failed}, failed


Told = Callable[[int, store.Made], None]  # hears of each entry that is found, and of which attempt it is


def by_parts(project: Project, work: Callable[[list[Clip]], T], workers: int = 2) -> list[T]:
    """`work` of each part of the project's clips, in their order; done by processes where there are several parts."""
    clips = project.each_clip()
    parts = iter(lambda: list(islice(clips, AT_ONCE)), [])
    first = next(parts, [])
    hands = workers if len(first) == AT_ONCE else 0
    done = executors.local(partial(_numbered, work), enumerate(chain([first], parts)), hands, _died)
    return [result for _, result in sorted(done, key=lambda numbered: numbered[0])]


def _numbered(work: Callable[[list[Clip]], T], part: tuple[int, list[Clip]]) -> tuple[int, T]:
    return part[0], work(part[1])


def _died(part: tuple[int, list[Clip]]) -> Any:
    raise ProjectError("a process that looked clips up died (killed, or out of memory)", "Run again")


def current(project: Project) -> list[Clip]:
    """All clips, each with what the store has of it under the deemo.toml of now: what an older one made does not count."""
    found = [found for part in by_parts(project, partial(_part, project)) for found in part]
    failed = sorted((f for f in found if isinstance(f, Failure)), key=lambda f: place_of(f.stage))
    return [*(c for c in found if isinstance(c, Clip)), *(f.clip for f in failed)]


def _part(project: Project, clips: list[Clip]) -> list[Clip | Failure]:
    return list(look_up(project, clips))


def look_up(project: Project, clips: Iterable[Clip], told: Told = lambda number, made: None) -> Iterator[Clip | Failure]:
    """Each clip `through` the stages without any work: as far as the store knows it, or why it cannot be looked up."""
    attempts = [[store.Entries(s, project.store, project.secret) for s in stages] for stages in project.config.attempts]
    for clip in clips:
        start, done, failure = bare(clip), None, None  # type: Clip, Clip | None, Failure | None
        for number, stages in enumerate(attempts):
            got = pipeline.known(stages, start, partial(told, number))
            if isinstance(got, Failure):
                failure = got
            elif done is None or "leaks_passed" in got.facts:
                done = got
            if done is None or done.facts.get("leaks_passed") is not False:
                break
        yield failure or done or clip


def place_of(stage: str) -> int:
    return [s.__name__ for s in pipeline.ORDER].index(stage)


def voices(project: Project) -> list[tuple[Clip, list[Turn] | None]]:
    """Each source that has clips, and who speaks when in it; None where that is not made yet, or not anew after a change."""
    diarise = next(s for s in project.config.attempts[0] if isinstance(s, Diarise))
    wholes = {c.source: bare(c).whole() for c in project.clips()}
    found: list[tuple[Clip, list[Turn] | None]] = []
    for whole in wholes.values():
        made = store.find(diarise, whole, project.store, project.secret)
        rows = json.loads(made.path("turns").read_text())["turns"] if made else None
        found.append((whole, None if rows is None else [Turn(**row) for row in rows]))
    return found


def say_of_speakers(project: Project, source: str, **said: Any) -> None:
    """Write down what a person says of a source's speakers (speakers.change); the next run goes by it."""
    with project.locked():
        known = {whole.source: whole for whole, _ in voices(project)}
        if source not in known:
            raise ConfigError(f"there is no source {source!r} with clips", f"Sources: {', '.join(known) or 'none yet'}")
        before = known[source].facts["speakers_said"]
        speakers.write(project.root, source, speakers.change(before, duration_ms=known[source].end_ms, **said))


def vocabularies(project: Project) -> tuple[Nfbl, Emotions]:
    about = project.config.project
    return load_nfbl(within(project, about.nfbl)), load_emotions(within(project, about.emotions))


def within(project: Project, said: str) -> str:
    """A vocabulary as deemo.toml names it: a name of ours, or a file, relative to the project folder."""
    return str(project.root / said) if said.endswith(".toml") else said


def give_out(project: Project, allow_proposed: bool = False) -> tuple[Exported, list[Missing]]:
    """Release and export: every clip that may go, with its labels, to out/dataset."""
    settings = project.config.export
    nfbl, emotions = vocabularies(project)
    with project.locked():
        safe, kept = release.release_all(current(project), project)
        missing = kept_back(kept)
        project.write_report("export.json", [vars(m) for m in missing])
        if not safe:
            clear(project.dataset)
            reason = f"nothing may be exported: {missing[0]}" if missing else "there are no clips"
            raise NotReleasable(reason, "" if missing else f"Type: deemo segment {project.root}, then deemo run {project.root}")
        said, unnamed = without_names(project, labels.in_force(project.labels))
        made = write_dataset(
            safe, said, project.dataset, known=known(project), nfbl=nfbl, emotions=emotions,
            settings=replace(settings, allow_proposed=settings.allow_proposed or allow_proposed),
        )  # fmt: skip
    return replace(made, left_out=(*unnamed, *made.left_out)), missing


def without_names(project: Project, said: Sequence[labels.Label]) -> tuple[list[labels.Label], list[str]]:
    """Labels without those whose text has a name that is known of their source, and a line for each of these.

    Who writes a clue may have recognised somebody: what annotators write is looked through like what is spoken.
    """
    from deemo_data.models import names

    people = ingest.read_subjects(project.private / "subjects.csv")
    known_of = {release.public_id(project.secret, "v", p.source): p.all_names for p in people}
    kept, lines = [], []
    for label in said:
        texts = [t for t in (label.value if isinstance(label.value, list) else [label.value]) if isinstance(t, str)]
        known = known_of.get(label.source, ())
        if label.kind in WRITTEN and known and any(names.known(t.split(), known) for t in texts):
            lines.append(f"clip {label.clip}: {label.kind} has a name that is known of its source, left out: it must be mended")
        else:
            kept.append(label)
    return kept, lines


def known(project: Project) -> Known:
    """What was measured of the project, and who withdrew, for the dataset's documents."""

    def said(name: str) -> dict[str, Any] | None:
        path = project.out / name
        return json.loads(path.read_text("utf-8")) if path.is_file() else None

    return Known(said("agreement.json"), said("privacy.json"), versions.read_tombstones(project.root / withdrawn.WITHDRAWN))


def kept_back(kept: Sequence[tuple[Clip, NotReleasable]]) -> list[Missing]:
    """The clips that may not be released, with the reason."""
    return [Missing(clip.id, "release", e.what.removeprefix(f"clip {clip.id}").lstrip(": "), e.advice) for clip, e in kept]
