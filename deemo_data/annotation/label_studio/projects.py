"""Works with our projects on a Label Studio server, over label-studio-sdk.

Out: `ensure_project` and `ensure_storage` prepare a project, `send_tasks` sends each clip once. Back: `fetch_tasks` yields the
tasks with their annotations, one batch at a time. A clip is a task there; the key "clip" in its data holds our public clip id.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.annotation.label_studio.connection import (
    RETRY_ADVICE,
    Server,
    connect,
    error_detail,
    is_this_machine,
    one_line_errors,
)
from deemo_data.errors import LabelError

if TYPE_CHECKING:
    from label_studio_sdk.label_interface.interface import LabelInterface

SINGLE_ATTEMPT: Any = {"max_retries": 0, "timeout_in_seconds": 300}  # for requests that must not run twice
LONG_TIMEOUT: Any = {"timeout_in_seconds": 300}
TASKS_PER_LISTING = 1000  # tasks in one request for a list
TASKS_PER_EXPORT = 250  # their ids stand in the URL, which a proxy may limit to 8 kB
DESCRIPTION_PREFIX = "Made by deemo push; this line tells it that the project is its own:"
GUIDE_CSS = """
.deemo-guide { line-height: 1.45; }
.deemo-guide h1, .deemo-guide h2, .deemo-guide h3 { margin: 1.1em 0 0.3em; }
.deemo-guide p, .deemo-guide table { margin: 0.4em 0; }
.deemo-guide ol { list-style: decimal; padding-left: 1.6em; }
.deemo-guide ul { list-style: disc; padding-left: 1.6em; }
.deemo-guide th, .deemo-guide td { border: 1px solid #bbb; padding: 2px 8px; text-align: left; vertical-align: top; }
"""  # the style sheet of Label Studio removes list numbers, bullets and spacing
TASK_KEYS = ("id", "project", "data", "created_at", "updated_at")
ANNOTATION_KEYS = (
    "id", "unique_id", "completed_by", "result", "created_at", "updated_at", "lead_time", "was_cancelled", "ground_truth",
    "parent_prediction",
)  # fmt: skip
PREDICTION_KEYS = ("id", "model_version", "score", "result")
DRAFT_KEYS = ("id", "created_at", "updated_at")


@dataclass(frozen=True)
class TaskSummary:
    """A task without its annotations.

    id           its number on the server
    clip         public id of its clip
    created_at   as in an export
    updated_at   as in an export; it changes with every change of an annotation
    annotations  how many it has, skipped ones included
    """

    id: int
    clip: str
    created_at: str
    updated_at: str
    annotations: int


def ensure_project(
    server: Server,
    *,
    title: str,
    template: str,
    config: str,
    guide: str,
    overlap: int,
    recorded_number: int | None = None,
    recreate: bool = False,
) -> int:
    """Create or update our project for a template. Returns its number on the server.

    title            3 to 50 characters; it identifies the project, so two of our projects may not share it
    config           the page, XML
    guide            for annotators, Markdown; shown behind the button Instructions, without its pictures
    overlap          how many people label each clip; in the label stream they do not see each other's work
    recorded_number  its number according to private/label_studio.json
    recreate         create another project even when we have one
    Raises LabelError when the project `recorded_number` is gone or not ours, and when a page in use would lose a label that
    was used.
    """
    config = config.strip()  # as Label Studio stores it
    settings: dict[str, Any] = {
        "label_config": config,
        "expert_instruction": _guide_html(guide),
        "show_instruction": False,
        "maximum_annotations": overlap,
        "overlap_cohort_percentage": 100,
        "sampling": "Uniform sampling",  # at any time, the labelled clips are a random sample of all clips
        "skip_queue": "IGNORE_SKIPPED",  # an annotator who skips a clip (they may know the person) does not get it again
        "show_collab_predictions": True,
        "enable_empty_annotation": True,
        "show_annotation_history": False,
        "reveal_preannotations_interactively": False,
    }
    our_description = f"{DESCRIPTION_PREFIX} {title}, {template}"
    settings_digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    settings["description"] = f"{our_description}, {settings_digest}"
    number = None if recreate else recorded_number or _find_project(server, our_description)
    if number is None:
        with one_line_errors(server.url, f"making the project for {template}"):
            created = server.client.projects.create(title=title, **settings, request_options=SINGLE_ATTEMPT)
            return int(created.id or 0)
    with one_line_errors(server.url, f"looking at project {number}"):
        there = _read_project(server, number)
    advice = f'To begin anew: set "{template}" to null in private/label_studio.json, then type: deemo push DIR'
    if there is None:
        raise LabelError(f"project {number} for {template} is gone from Label Studio at {server.url}", advice)
    if not str(there.description or "").startswith(our_description):
        raise LabelError(f"project {number} at {server.url} is not the one of {title}", advice)
    if there.label_config != config:
        _check_page_fits(server, number, config, template)
    if (there.description, there.label_config, there.maximum_annotations) != (settings["description"], config, overlap):
        with one_line_errors(server.url, f"bringing project {number} up to date"):
            server.client.projects.update(number, **settings, request_options=SINGLE_ATTEMPT)
    return number


def is_our_project(server: Server, number: int, mark: str) -> bool:
    """Whether the project exists and was created by a push with this mark (`workspace.mark_of_project`)."""
    with one_line_errors(server.url, f"looking at project {number}"):
        there = _read_project(server, number)
    description = str(there.description or "") if there else ""
    return description.startswith(DESCRIPTION_PREFIX) and mark in description


def find_our_projects(server: Server, mark: str) -> list[int]:
    """The numbers of all projects that were created by a push with this mark, even if they are recorded nowhere."""
    return [number for number, text in _list_projects(server) if text.startswith(DESCRIPTION_PREFIX) and mark in text]


def ensure_storage(server: Server, number: int, folder: Path) -> None:
    """Connect a project to the videos in `folder`, which lies directly below the folder that the server serves.

    Raises LabelError when the server serves no local files, or other ones.
    """
    path, root = str(folder.resolve()), str(folder.resolve().parent)
    advice = f"Start it with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}"
    from label_studio_sdk.core.api_error import ApiError

    with one_line_errors(server.url, "asking for the videos' storage"):
        storages = server.client.import_storage.local
        if all(s.path != path for s in storages.list(project=number)):
            try:
                storages.create(
                    project=number, path=path, use_blob_urls=True, title="released clips", request_options=SINGLE_ATTEMPT
                )
            except ApiError as e:
                if e.status_code != 400:
                    raise
                where = "does not see" if "does not exist" in error_detail(e.body) else "does not serve"
                raise LabelError(f"Label Studio at {server.url} {where} the folder of released clips", advice) from None
    if (name := next((f.name for f in sorted(folder.iterdir()) if f.is_file()), None)) and not _is_served(server, name, folder):
        raise LabelError(f"Label Studio at {server.url} does not serve {folder.name}/{name}: its root is another", advice)


def labelling_url(server: Server, number: int) -> str:
    """The address of the label stream of a project: annotators do not see each other's work there."""
    return f"{server.url}/projects/{number}/data?labeling=1"


def send_tasks(
    server: Server,
    number: int,
    tasks: Iterable[dict[str, Any]],
    *,
    batch: int = 250,
    known_clips: Collection[str] | None = None,
    on_progress: Callable[[int], None] = lambda clips: None,
) -> int:
    """Import the tasks of clips that the project does not have yet. Returns how many were sent.

    tasks        {"data": {"clip", "num_frames", ...}, "predictions": [...]} each; consumed one batch at a time
    known_clips  the clips that the project has, if the caller just read them
    on_progress  called after each batch with the number of clips in it
    Raises LabelError that names the clip for a prediction that its page cannot show, and when the server created something
    other than what was sent; that batch is deleted again. After a lost connection the next push continues.
    """
    from label_studio_sdk.label_interface.interface import LabelInterface

    there = set(read_clip_ids(server, number) if known_clips is None else known_clips)
    with one_line_errors(server.url, f"looking at project {number}"):
        project = server.client.projects.get(number)
    page, shown_version, sent = LabelInterface(project.label_config or ""), project.model_version, 0
    for batch_tasks in _split_into_batches(_skip_known_clips(tasks, there), batch):
        for task in batch_tasks:
            _check_predictions(task, page)
        _import_batch(server, number, batch_tasks)
        versions = {p["model_version"] for task in batch_tasks for p in task.get("predictions") or ()}
        if versions and shown_version not in versions:
            shown_version = min(versions)
            with one_line_errors(server.url, "choosing the proposals that are shown"):
                server.client.projects.update(number, model_version=shown_version)
        sent += len(batch_tasks)
        on_progress(len(batch_tasks))
    return sent


def read_clip_ids(server: Server, number: int) -> set[str]:
    """The public ids of the clips in a project."""
    return {summary.clip for summary in list_tasks(server, number)}


def list_tasks(server: Server, number: int) -> Iterator[TaskSummary]:
    """All tasks of a project, in order of id. Tasks may be added or deleted while this runs."""
    last_id = 0
    while True:
        after = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": last_id}
        query = json.dumps({"filters": {"conjunction": "and", "items": [after]}, "ordering": ["tasks:id"]})
        with one_line_errors(server.url, f"listing the clips of project {number}"):
            listed: list[Any] = server.client.tasks.list(
                project=number, page=1, page_size=TASKS_PER_LISTING, fields="task_only", query=query,
                request_options=LONG_TIMEOUT, include="id,data,created_at,updated_at,total_annotations,cancelled_annotations",
            ).items or []  # fmt: skip
        for task in listed:
            created, updated = (t.isoformat().replace("+00:00", "Z") for t in (task.created_at, task.updated_at))
            count = (task.total_annotations or 0) + (task.cancelled_annotations or 0)
            yield TaskSummary(task.id, str(task.data.get("clip")), created, updated, count)
        if len(listed) < TASKS_PER_LISTING:
            return
        last_id = listed[-1].id


def fetch_tasks(
    server: Server,
    number: int,
    tasks_per_batch: int = TASKS_PER_EXPORT,
    is_wanted: Callable[[TaskSummary], bool] = lambda summary: True,
) -> Iterator[list[dict[str, Any]]]:
    """The tasks of a project with annotations and drafts, as in a JSON export but without names and e-mail addresses.

    is_wanted  called with the summary of every task, in order of id; False means that the task is not fetched
    Yields one batch at a time.
    """
    ids = (summary.id for summary in list_tasks(server, number) if is_wanted(summary))
    while batch_ids := list(itertools.islice(ids, min(tasks_per_batch, TASKS_PER_EXPORT))):
        yield [_without_names(task) for task in _export_tasks(server, number, batch_ids)]


def read_accounts(server: Server) -> dict[int, str]:
    """{number: e-mail address} of all accounts on the server. Keep it in memory only."""
    with one_line_errors(server.url, "asking who has an account"):
        return {user.id: str(user.email) for user in server.client.users.list()}


def install_hotkeys(url: str, token: str, body: dict[str, Any]) -> None:
    """`install_hotkeys_for` the owner of a token."""
    server = connect(url, token)
    install_hotkeys_for(server, server.user, body)


def install_hotkeys_for(server: Server, user: int, body: dict[str, Any]) -> None:
    """Set our hotkeys for an account, by its number; its token is not needed. Other hotkeys of the account stay.

    body  as `templates.read_hotkeys` returns it
    Raises LabelError when the server does not keep the hotkeys.
    """
    ours = body["custom_hotkeys"]
    with one_line_errors(server.url, "setting keys"):
        existing = server.client.users.get(user).custom_hotkeys
        server.client.users.update(user, custom_hotkeys={**(existing if isinstance(existing, dict) else {}), **ours})
        now = server.client.users.get(user).custom_hotkeys
    if not isinstance(now, dict) or any(now.get(name) != key for name, key in ours.items()):
        raise LabelError(f"Label Studio at {server.url} did not keep the keys of user {user}", RETRY_ADVICE)


def delete_clips(server: Server, number: int, clips: Collection[str]) -> int:
    """Delete the tasks of clips, with their annotations. Returns how many tasks were deleted."""
    ids = [summary.id for summary in list_tasks(server, number) if summary.clip in clips]
    _delete_tasks(server, number, ids)
    return len(ids)


def _read_project(server: Server, number: int) -> Any:
    """A project, or None when no project has this number."""
    from label_studio_sdk.core.api_error import ApiError

    try:
        return server.client.projects.get(number)
    except ApiError as e:
        if e.status_code == 404 and isinstance(e.body, dict):
            return None
        raise


def _find_project(server: Server, our_description: str) -> int | None:
    """The number of our project, by its description: private/label_studio.json may have been lost."""
    return next((number for number, text in _list_projects(server) if text.startswith(our_description)), None)


def _list_projects(server: Server) -> list[tuple[int, str]]:
    """(number, description) of all projects on the server."""
    with one_line_errors(server.url, "looking for our projects"):
        listed: Any = server.client.projects.list(
            include="id,description", page_size=TASKS_PER_LISTING, request_options=LONG_TIMEOUT
        )
        return [(p.id, str(p.description or "")) for p in listed]


def _check_page_fits(server: Server, number: int, config: str, template: str) -> None:
    """Raises LabelError when a new page would lose a label that was used. Label Studio itself would accept the page."""
    from label_studio_sdk.core.api_error import ApiError

    with one_line_errors(server.url, f"checking the page of {template}"):
        try:
            server.client.projects.validate_label_config(number, label_config=config)
        except ApiError as e:
            if e.status_code != 400:
                raise
            what = f"{template} is in use in project {number}, and its page would lose what was labelled: {error_detail(e.body)}"
            advice = f'Put it back, or begin anew: set "{template}" to null in private/label_studio.json'
            raise LabelError(what, advice) from None


def _is_served(server: Server, name: str, folder: Path) -> bool:
    """Whether the server serves a file: it is asked for the first byte."""
    import httpx

    with one_line_errors(server.url, "asking for a video"):
        is_legacy = server.token.count(".") != 2
        authorization = (
            f"Token {server.token}" if is_legacy else f"Bearer {server.client.tokens.refresh(refresh=server.token).access}"
        )
        response = httpx.get(
            f"{server.url}/data/local-files/", params={"d": f"{folder.name}/{name}"},
            headers={"Authorization": authorization, "Range": "bytes=0-0"}, timeout=30, trust_env=not is_this_machine(server.url),
        )  # fmt: skip
        return response.status_code in (200, 206)


def _guide_html(guide: str) -> str:
    """Convert Markdown to the HTML that Label Studio shows. Pictures are left out: the server cannot reach them."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("image", lambda *_: "")
    return f'<style>{GUIDE_CSS}</style><div class="deemo-guide">{reader.render(guide)}</div>'


def _skip_known_clips(tasks: Iterable[dict[str, Any]], known_clips: set[str]) -> Iterator[dict[str, Any]]:
    """The tasks of clips that are not known; their clips are added to the known ones."""
    for task in tasks:
        if task["data"]["clip"] not in known_clips:
            known_clips.add(task["data"]["clip"])
            yield task


def _split_into_batches(tasks: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(tasks)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _check_predictions(task: dict[str, Any], page: LabelInterface) -> None:
    """Raises LabelError for a prediction that Label Studio would accept and that its page cannot show."""
    clip, last = task["data"]["clip"], task["data"]["num_frames"]
    for prediction in task.get("predictions") or ():
        faults = list(page.validate_prediction(prediction, return_errors=True) or ())
        for result in prediction["result"]:
            for span in result["value"].get("ranges", ()):
                start, end = span.get("start"), span.get("end")
                if type(start) is not int or type(end) is not int or not 1 <= start <= end <= last:
                    faults.append(f"frames {start}-{end} of {last}")
        if faults:
            raise LabelError(f"clip {clip}: a proposal does not fit its page: {faults[0]}", "Nothing of its batch was sent")


def _import_batch(server: Server, number: int, tasks: Sequence[dict[str, Any]]) -> None:
    """Import tasks. Raises LabelError when the server created something else; then it deletes them again."""
    first, num_predictions = tasks[0]["data"]["clip"], sum(len(task.get("predictions") or ()) for task in tasks)
    with one_line_errors(server.url, f"sending {len(tasks)} clips from {first} on"):
        body: Any = list(tasks)
        created = server.client.projects.import_tasks(
            number, request=body, return_task_ids=True, request_options=SINGLE_ATTEMPT
        ).model_dump()
    if (created.get("task_count"), created.get("prediction_count")) == (len(tasks), num_predictions):
        return
    ids = list(created.get("task_ids") or ())
    with one_line_errors(server.url, f"looking for what is missing of {len(tasks)} clips from {first} on"):
        present = {task["data"]["clip"]: len(task["predictions"]) for task in _export_tasks(server, number, ids)}
    bad = next((t["data"]["clip"] for t in tasks if present.get(t["data"]["clip"]) != len(t.get("predictions") or ())), first)
    _delete_tasks(server, number, ids)
    counts = f"{created.get('task_count')} clips and {created.get('prediction_count')} proposals"
    sent = f"{len(tasks)} and {num_predictions}"
    raise LabelError(f"Label Studio made {counts} of {sent}, first wrong: clip {bad}; that batch was taken back", RETRY_ADVICE)


def _export_tasks(server: Server, number: int, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Tasks as in a JSON export, in order of id; tasks that no longer exist are left out."""
    tasks: list[dict[str, Any]] = []
    for at in range(0, len(ids), TASKS_PER_EXPORT):
        options: Any = LONG_TIMEOUT | {"additional_query_parameters": {"ids[]": list(ids[at : at + TASKS_PER_EXPORT])}}
        with one_line_errors(server.url, f"fetching annotations of project {number}"):
            chunks = server.client.projects.exports.download_sync(
                number, download_all_tasks=True, export_type="JSON", request_options=options
            )
            tasks += json.loads(b"".join(chunks))
    return sorted(tasks, key=lambda task: task["id"])


def _without_names(task: dict[str, Any]) -> dict[str, Any]:
    """The parts of an exported task that are about the clip and its annotations; names and e-mail addresses are dropped."""
    annotations = [
        _pick_keys(ANNOTATION_KEYS, a) | {"prediction": _pick_keys(PREDICTION_KEYS, a.get("prediction") or {})}
        for a in task["annotations"]
    ]
    return _pick_keys(TASK_KEYS, task) | {
        "annotations": annotations,
        "drafts": [_pick_keys(DRAFT_KEYS, d) for d in task.get("drafts") or ()],
    }


def _pick_keys(names: Sequence[str], row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


def _delete_tasks(server: Server, number: int, ids: Sequence[int]) -> None:
    for at in range(0, len(ids), TASKS_PER_LISTING):
        selected: Any = {"all": False, "included": list(ids[at : at + TASKS_PER_LISTING])}
        with one_line_errors(server.url, f"deleting clips of project {number}"):
            server.client.actions.create(id="delete_tasks", project=number, selected_items=selected, request_options=LONG_TIMEOUT)
