"""Our projects in Label Studio, over label-studio-sdk: clips go out once each, what annotators did comes back page by page."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.annotation.label_studio.connection import AGAIN, Server, clearly, connect, detail, is_here
from deemo_data.errors import LabelError

if TYPE_CHECKING:
    from label_studio_sdk.label_interface.interface import LabelInterface


__all__ = [
    "Server",
    "TaskSummary",
    "all_ours",
    "annotators",
    "clips_of",
    "connect",
    "delete_clips",
    "give_storage",
    "install_hotkeys",
    "install_hotkeys_of",
    "is_ours",
    "list_tasks",
    "page_of",
    "pages",
    "project_for",
    "send_tasks",
]  # fmt: skip

ONCE: Any = {"max_retries": 0, "timeout_in_seconds": 300}  # for what must not be done twice
SLOWLY: Any = {"timeout_in_seconds": 300}
LISTED = 1000  # of their tasks, in one request
EXPORTED = 250  # their numbers stand in the address, which a proxy may hold to 8 kB
MADE_BY = "Made by deemo push; this line tells it that the project is its own:"
STYLE = """
.deemo-guide { line-height: 1.45; }
.deemo-guide h1, .deemo-guide h2, .deemo-guide h3 { margin: 1.1em 0 0.3em; }
.deemo-guide p, .deemo-guide table { margin: 0.4em 0; }
.deemo-guide ol { list-style: decimal; padding-left: 1.6em; }
.deemo-guide ul { list-style: disc; padding-left: 1.6em; }
.deemo-guide th, .deemo-guide td { border: 1px solid #bbb; padding: 2px 8px; text-align: left; vertical-align: top; }
"""  # Label Studio takes numbers, dots and space away from what it shows
TASK = ("id", "project", "data", "created_at", "updated_at")
ANNOTATION = (
    "id", "unique_id", "completed_by", "result", "created_at", "updated_at", "lead_time", "was_cancelled", "ground_truth",
    "parent_prediction",
)  # fmt: skip
PREDICTION = ("id", "model_version", "score", "result")
DRAFT = ("id", "created_at", "updated_at")


@dataclass(frozen=True)
class TaskSummary:
    """One of their tasks, in short. The times are as in an export; updated_at changes with every change of an annotation."""

    id: int
    clip: str
    created_at: str
    updated_at: str
    annotations: int


def project_for(
    server: Server,
    *,
    title: str,
    template: str,
    config: str,
    guide: str,
    overlap: int,
    known: int | None = None,
    anew: bool = False,
) -> int:
    """The number of our project for a template, made or brought up to date.

    title    3 to 50 characters; says whose project it is, so no two of ours may have the same
    config   the page, XML
    guide    for annotators, Markdown; behind the button Instructions, without its pictures
    overlap  how many people label each clip, blind to each other in the label stream
    known    its number, as far as we know
    anew     make another, also where one of ours is there
    Raises LabelError when `known` is gone or another's, and when a page in use lacks a label that was used.
    """
    config = config.strip()  # as Label Studio keeps it
    settings: dict[str, Any] = {
        "label_config": config,
        "expert_instruction": _html(guide),
        "show_instruction": False,
        "maximum_annotations": overlap,
        "overlap_cohort_percentage": 100,
        "sampling": "Uniform sampling",  # whenever they stop, what is labelled is a sample of everything
        "skip_queue": "IGNORE_SKIPPED",  # who may have recognised somebody is not shown the clip again
        "show_collab_predictions": True,
        "enable_empty_annotation": True,
        "show_annotation_history": False,
        "reveal_preannotations_interactively": False,
    }
    ours = f"{MADE_BY} {title}, {template}"
    state = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    settings["description"] = f"{ours}, {state}"
    number = None if anew else known or _found(server, ours)
    if number is None:
        with clearly(server.url, f"making the project for {template}"):
            made = server.client.projects.create(title=title, **settings, request_options=ONCE)
            return int(made.id or 0)
    with clearly(server.url, f"looking at project {number}"):
        there = _project(server, number)
    begin_anew = f'To begin anew: set "{template}" to null in private/label_studio.json, then type: deemo push DIR'
    if there is None:
        raise LabelError(f"project {number} for {template} is gone from Label Studio at {server.url}", begin_anew)
    if not str(there.description or "").startswith(ours):
        raise LabelError(f"project {number} at {server.url} is not the one of {title}", begin_anew)
    if there.label_config != config:
        _fits(server, number, config, template)
    if (there.description, there.label_config, there.maximum_annotations) != (settings["description"], config, overlap):
        with clearly(server.url, f"bringing project {number} up to date"):
            server.client.projects.update(number, **settings, request_options=ONCE)
    return number


def is_ours(server: Server, number: int, mark: str) -> bool:
    """Whether a project is there and was made by a push with this mark in its title."""
    with clearly(server.url, f"looking at project {number}"):
        there = _project(server, number)
    said = str(there.description or "") if there else ""
    return said.startswith(MADE_BY) and mark in said


def all_ours(server: Server, mark: str) -> list[int]:
    """The numbers of all projects that were made by a push with this mark, also those that we lost count of."""
    return [number for number, said in _described(server) if said.startswith(MADE_BY) and mark in said]


def give_storage(server: Server, number: int, folder: Path) -> None:
    """Let annotators of a project see the videos in `folder`, which lies directly below the folder the server serves.

    Raises LabelError when the server serves no local files, or not these.
    """
    path, root = str(folder.resolve()), str(folder.resolve().parent)
    served = f"Start it with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}"
    from label_studio_sdk.core.api_error import ApiError

    with clearly(server.url, "asking for the videos' storage"):
        storages = server.client.import_storage.local
        if all(s.path != path for s in storages.list(project=number)):
            try:
                storages.create(project=number, path=path, use_blob_urls=True, title="released clips", request_options=ONCE)
            except ApiError as e:
                if e.status_code != 400:
                    raise
                where = "does not see" if "does not exist" in detail(e.body) else "does not serve"
                raise LabelError(f"Label Studio at {server.url} {where} the folder of released clips", served) from None
    if (name := next((f.name for f in sorted(folder.iterdir()) if f.is_file()), None)) and not _is_served(server, name, folder):
        raise LabelError(f"Label Studio at {server.url} does not serve {folder.name}/{name}: its root is another", served)


def page_of(server: Server, number: int) -> str:
    """The page annotators work on: the label stream, which shows nobody what others did."""
    return f"{server.url}/projects/{number}/data?labeling=1"


def send_tasks(
    server: Server,
    number: int,
    given: Iterable[dict[str, Any]],
    *,
    batch: int = 250,
    known: Collection[str] | None = None,
    watch: Callable[[int], None] = lambda clips: None,
) -> int:
    """Send clips that are not there yet; how many that were.

    given  {"data": {"clip", "num_frames", ...}, "predictions": [...]} each, taken one batch at a time
    known  the clips that are there, when that was just asked
    watch  told after each batch how many clips it was
    Raises LabelError, with the clip, for a proposal that would break the page, and when the server made other than it was sent:
    that batch is taken back. After a lost connection the next push goes on.
    """
    from label_studio_sdk.label_interface.interface import LabelInterface

    there = set(clips_of(server, number) if known is None else known)
    with clearly(server.url, f"looking at project {number}"):
        project = server.client.projects.get(number)
    page, shown, sent = LabelInterface(project.label_config or ""), project.model_version, 0
    for some in _batches(_new(given, there), batch):
        for clip in some:
            _check(clip, page)
        _send(server, number, some)
        versions = {p["model_version"] for clip in some for p in clip.get("predictions") or ()}
        if versions and shown not in versions:
            shown = min(versions)
            with clearly(server.url, "choosing the proposals that are shown"):
                server.client.projects.update(number, model_version=shown)
        sent += len(some)
        watch(len(some))
    return sent


def clips_of(server: Server, number: int) -> set[str]:
    """The public ids of the clips in a project."""
    return {brief.clip for brief in list_tasks(server, number)}


def list_tasks(server: Server, number: int) -> Iterator[TaskSummary]:
    """All of their tasks in a project, by number; those that come or go meanwhile disturb nothing."""
    last = 0
    while True:
        after = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": last}
        query = json.dumps({"filters": {"conjunction": "and", "items": [after]}, "ordering": ["tasks:id"]})
        with clearly(server.url, f"listing the clips of project {number}"):
            found: list[Any] = server.client.tasks.list(
                project=number, page=1, page_size=LISTED, fields="task_only", query=query, request_options=SLOWLY,
                include="id,data,created_at,updated_at,total_annotations,cancelled_annotations",
            ).items or []  # fmt: skip
        for task in found:
            made, changed = (t.isoformat().replace("+00:00", "Z") for t in (task.created_at, task.updated_at))
            count = (task.total_annotations or 0) + (task.cancelled_annotations or 0)
            yield TaskSummary(task.id, str(task.data.get("clip")), made, changed, count)
        if len(found) < LISTED:
            return
        last = found[-1].id


def pages(
    server: Server, number: int, size: int = EXPORTED, wanted: Callable[[TaskSummary], bool] = lambda brief: True
) -> Iterator[list[dict[str, Any]]]:
    """Their tasks in a project with annotations and drafts, as in a JSON export without names and addresses, page by page.

    wanted  told of each what it is in short, in order; those it declines are not fetched
    """
    ids = (brief.id for brief in list_tasks(server, number) if wanted(brief))
    while some := list(itertools.islice(ids, min(size, EXPORTED))):
        yield [_kept(task) for task in _exported(server, number, some)]


def annotators(server: Server) -> dict[int, str]:
    """Everybody's number and e-mail address there. Keep it in memory only."""
    with clearly(server.url, "asking who has an account"):
        return {user.id: str(user.email) for user in server.client.users.list()}


def install_hotkeys(url: str, token: str, body: dict[str, Any]) -> None:
    """`install_hotkeys_of` whoever has that token."""
    server = connect(url, token)
    install_hotkeys_of(server, server.user, body)


def install_hotkeys_of(server: Server, user: int, body: dict[str, Any]) -> None:
    """Set our keys for somebody, by number: no token of theirs is needed. Keys of their own that are not ours stay.

    body  as templates.hotkeys() makes it
    Raises LabelError when they are not there afterwards.
    """
    ours = body["custom_hotkeys"]
    with clearly(server.url, "setting keys"):
        theirs = server.client.users.get(user).custom_hotkeys
        server.client.users.update(user, custom_hotkeys={**(theirs if isinstance(theirs, dict) else {}), **ours})
        now = server.client.users.get(user).custom_hotkeys
    if not isinstance(now, dict) or any(now.get(name) != key for name, key in ours.items()):
        raise LabelError(f"Label Studio at {server.url} did not keep the keys of user {user}", AGAIN)


def delete_clips(server: Server, number: int, clips: Collection[str]) -> int:
    """Delete clips from a project, with all that was said about them there; how many of their tasks that were."""
    ids = [brief.id for brief in list_tasks(server, number) if brief.clip in clips]
    _delete(server, number, ids)
    return len(ids)


def _project(server: Server, number: int) -> Any:
    """A project, or None when there is none of that number."""
    from label_studio_sdk.core.api_error import ApiError

    try:
        return server.client.projects.get(number)
    except ApiError as e:
        if e.status_code == 404 and isinstance(e.body, dict):
            return None
        raise


def _found(server: Server, ours: str) -> int | None:
    """Our project by what its description says: private/label_studio.json may have been lost."""
    return next((number for number, said in _described(server) if said.startswith(ours)), None)


def _described(server: Server) -> list[tuple[int, str]]:
    """All projects there: number and description."""
    with clearly(server.url, "looking for our projects"):
        listed: Any = server.client.projects.list(include="id,description", page_size=LISTED, request_options=SLOWLY)
        return [(p.id, str(p.description or "")) for p in listed]


def _fits(server: Server, number: int, config: str, template: str) -> None:
    """Raises LabelError when a page that is in use would lose a label that was used: Label Studio would not complain."""
    from label_studio_sdk.core.api_error import ApiError

    with clearly(server.url, f"checking the page of {template}"):
        try:
            server.client.projects.validate_label_config(number, label_config=config)
        except ApiError as e:
            if e.status_code != 400:
                raise
            what = f"{template} is in use in project {number}, and its page would lose what was labelled: {detail(e.body)}"
            advice = f'Put it back, or begin anew: set "{template}" to null in private/label_studio.json'
            raise LabelError(what, advice) from None


def _is_served(server: Server, name: str, folder: Path) -> bool:
    """Whether a server gives out the first byte of a file."""
    import httpx

    with clearly(server.url, "asking for a video"):
        legacy = server.token.count(".") != 2
        said = f"Token {server.token}" if legacy else f"Bearer {server.client.tokens.refresh(refresh=server.token).access}"
        got = httpx.get(
            f"{server.url}/data/local-files/", params={"d": f"{folder.name}/{name}"},
            headers={"Authorization": said, "Range": "bytes=0-0"}, timeout=30, trust_env=not is_here(server.url),
        )  # fmt: skip
        return got.status_code in (200, 206)


def _html(guide: str) -> str:
    """Markdown as Label Studio shows it. It has no pictures of ours: they lie beside the guide, where it cannot see them."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("image", lambda *_: "")
    return f'<style>{STYLE}</style><div class="deemo-guide">{reader.render(guide)}</div>'


def _new(given: Iterable[dict[str, Any]], there: set[str]) -> Iterator[dict[str, Any]]:
    for clip in given:
        if clip["data"]["clip"] not in there:
            there.add(clip["data"]["clip"])
            yield clip


def _batches(given: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    clips = iter(given)
    while some := list(itertools.islice(clips, size)):
        yield some


def _check(clip: dict[str, Any], page: LabelInterface) -> None:
    """Raises LabelError for a proposal that Label Studio would take and its page could not show."""
    about, last = clip["data"]["clip"], clip["data"]["num_frames"]
    for prediction in clip.get("predictions") or ():
        wrong = list(page.validate_prediction(prediction, return_errors=True) or ())
        for result in prediction["result"]:
            for span in result["value"].get("ranges", ()):
                start, end = span.get("start"), span.get("end")
                if type(start) is not int or type(end) is not int or not 1 <= start <= end <= last:
                    wrong.append(f"frames {start}-{end} of {last}")
        if wrong:
            raise LabelError(f"clip {about}: a proposal does not fit its page: {wrong[0]}", "Nothing of its batch was sent")


def _send(server: Server, number: int, some: Sequence[dict[str, Any]]) -> None:
    """Import some clips. Raises LabelError when the server made other than was asked; then they are taken back."""
    first, proposed = some[0]["data"]["clip"], sum(len(clip.get("predictions") or ()) for clip in some)
    with clearly(server.url, f"sending {len(some)} clips from {first} on"):
        clips: Any = list(some)
        made = server.client.projects.import_tasks(number, request=clips, return_task_ids=True, request_options=ONCE).model_dump()
    if (made.get("task_count"), made.get("prediction_count")) == (len(some), proposed):
        return
    ids = list(made.get("task_ids") or ())
    with clearly(server.url, f"looking for what is missing of {len(some)} clips from {first} on"):
        got = {clip["data"]["clip"]: len(clip["predictions"]) for clip in _exported(server, number, ids)}
    bad = next((c["data"]["clip"] for c in some if got.get(c["data"]["clip"]) != len(c.get("predictions") or ())), first)
    _delete(server, number, ids)
    counts = f"{made.get('task_count')} clips and {made.get('prediction_count')} proposals of {len(some)} and {proposed}"
    raise LabelError(f"Label Studio made {counts}, first wrong: clip {bad}; that batch was taken back", AGAIN)


def _exported(server: Server, number: int, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Some of their tasks as in a JSON export, by number; those that are gone are left out."""
    found: list[dict[str, Any]] = []
    for at in range(0, len(ids), EXPORTED):
        options: Any = SLOWLY | {"additional_query_parameters": {"ids[]": list(ids[at : at + EXPORTED])}}
        with clearly(server.url, f"fetching annotations of project {number}"):
            got = server.client.projects.exports.download_sync(
                number, download_all_tasks=True, export_type="JSON", request_options=options
            )
            found += json.loads(b"".join(got))
    return sorted(found, key=lambda task: task["id"])


def _kept(task: dict[str, Any]) -> dict[str, Any]:
    """Of one of their tasks in an export, what is about the clip and what was said of it: nobody's name or address."""
    annotations = [
        _only(ANNOTATION, a) | {"prediction": _only(PREDICTION, a.get("prediction") or {})} for a in task["annotations"]
    ]
    return _only(TASK, task) | {"annotations": annotations, "drafts": [_only(DRAFT, d) for d in task.get("drafts") or ()]}


def _only(names: Sequence[str], row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


def _delete(server: Server, number: int, ids: Sequence[int]) -> None:
    for at in range(0, len(ids), LISTED):
        some: Any = {"all": False, "included": list(ids[at : at + LISTED])}
        with clearly(server.url, f"deleting clips of project {number}"):
            server.client.actions.create(id="delete_tasks", project=number, selected_items=some, request_options=SLOWLY)
