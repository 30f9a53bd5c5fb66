"""The client to Label Studio: against a small server that misbehaves on purpose, and (slow) against the real one."""

from __future__ import annotations

import json
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from deemo_data.annotation.label_studio import connection as client
from deemo_data.annotation.label_studio import projects as label_studio_projects
from deemo_data.annotation.label_studio.projects import (
    _guide_html,
    ensure_project,
    fetch_tasks,
    list_tasks,
    read_accounts,
    read_clip_ids,
    send_tasks,
)
from deemo_data.annotation.pages import templates
from deemo_data.errors import LabelError
from deemo_data.labels.vocabulary import load_emotions, load_nfbl

if TYPE_CHECKING:
    from tests.makers.label_studio import LabelStudio

TOKEN = "0123456789abcdef0123456789abcdef01234567"
NFBL, EMOTIONS = load_nfbl("nfbl"), load_emotions("emotions")
CONFIG = templates.render_page("nfbl_timeline", NFBL, EMOTIONS)
NAMES = [c.name for c in NFBL.classes]
FRAMES = 330


def region(start: int, end: int, name: str = NAMES[0], key: str = "00000000000000aa") -> dict[str, Any]:
    """An event over the frames [start, end), as Label Studio's region."""
    return {
        "id": key, "from_name": "nfbl", "to_name": "video", "type": "timelinelabels", "score": 0.5, "meta": {"text": ["why"]},
        "value": {"ranges": [{"start": start + 1, "end": end}], "timelinelabels": [name]},
    }  # fmt: skip


def clip(number: int, *results: dict[str, Any]) -> dict[str, Any]:
    name = f"c-{number:012x}"
    data = {"clip": name, "video": f"/data/local-files/?d=clips/{name}.mp4", "fps": 29.97, "num_frames": FRAMES, "title": name,
            "transcript": "so I said yes", "events_text": "(none yet)"}  # fmt: skip
    proposed = [{"model_version": "rules", "score": 0.5, "result": list(results)}] if results else []
    return {"data": data, "predictions": proposed}


def events(number: int, count: int = 5) -> list[dict[str, Any]]:
    chance = random.Random(number)
    made = []
    for _ in range(count):
        start = chance.randrange(FRAMES)
        made.append(
            region(start, chance.randrange(start + 1, FRAMES + 1), chance.choice(NAMES), f"{chance.getrandbits(64):016x}")
        )
    return made


Answer = Callable[[str, str, bytes], tuple[int, Any] | None]  # method, path, body -> status and JSON or text; None hangs up


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The address of a server of ours."""

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = answer(self.command, self.path, body)
            if said is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, what = said
            sent = what if isinstance(what, bytes) else what.encode() if isinstance(what, str) else json.dumps(what).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(what, str) else "application/json")
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PATCH = do_DELETE = reply

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def known(method: str, path: str) -> tuple[int, Any]:
    """What any Label Studio says to somebody it knows."""
    if path.startswith("/api/version"):
        return 200, {"release": "1.23.2"}
    if path.startswith("/api/current-user/whoami"):
        return 200, {"id": 1, "email": "x@example.com"}
    if path.startswith("/api/tasks"):
        return 200, {"tasks": [], "total": 0, "total_annotations": 0, "total_predictions": 0}
    if path.startswith("/api/projects/7"):
        return 200, {"id": 7, "label_config": CONFIG, "model_version": "rules"}
    return 404, {"status_code": 404, "detail": "Not found."}


def complaint(url: str, token: str = TOKEN) -> str:
    began = time.monotonic()
    with pytest.raises(LabelError) as e:
        client.connect(url, token)
    assert time.monotonic() - began < 4
    assert "\n" not in str(e.value)
    assert not token or token not in str(e.value)
    assert e.value.advice
    return str(e.value)


# What a server may do


def test_nothing_answers() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}"
        said = complaint(url)
    assert f"no Label Studio answers at {url}: Connection refused" in said
    assert "make label-studio" in said


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://127.0.0.1", "http://", "http://a b", "http://me:secret@127.0.0.1"])
def test_no_address(url: str) -> None:
    assert "is no address" in complaint(url)


def test_a_name_that_nobody_knows() -> None:
    assert "no Label Studio answers at http://nowhere.invalid" in complaint("http://nowhere.invalid")


@pytest.mark.parametrize(("token", "word"), [("", "empty"), ("  \n", "empty"), ("ab cd", "damaged"), ("töken", "damaged")])
def test_no_token(token: str, word: str) -> None:
    said = complaint("http://127.0.0.1:1", token)
    assert f"is {word}" in said
    assert "Access Token" in said


@pytest.mark.parametrize(
    "answer",
    [
        (200, "<html>Welcome</html>"),
        (404, "<html>no</html>"),
        (404, {"error": "no"}),
        (200, {"hello": 1}),
        (200, [1]),
        (403, "no"),
    ],
)
def test_something_else_answers(answer: tuple[int, Any]) -> None:
    with answering(lambda method, path, body: answer) as url:
        assert f"what answers at {url} is no Label Studio" in complaint(url)


def test_it_sends_on() -> None:
    with answering(lambda method, path, body: (301, "")) as url:
        assert "sends on to another address" in complaint(url)


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ("Invalid token.", "does not know this token"),
        ("Token is blacklisted", "was withdrawn"),
        ("Token is expired", "has expired"),
        (
            "Authentication token no longer valid: legacy token authentication has been disabled for this organization",
            "no legacy",
        ),
    ],
)
def test_the_token_is_not_taken(said: str, ours: str) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        return (401, {"detail": said}) if "whoami" in path else known(method, path)

    with answering(answer) as url:
        assert ours in complaint(url)


def test_a_personal_token_that_has_expired() -> None:
    import jwt

    with answering(lambda method, path, body: known(method, path)) as url:
        said = complaint(url, jwt.encode({"exp": 1, "token_type": "refresh"}, "x" * 32))
    assert "has expired" in said


def test_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_TIMEOUT_S", 0.2)
    done = threading.Event()

    def answer(method: str, path: str, body: bytes) -> None:
        done.wait(3)

    with answering(answer) as url:
        assert "took too long over asking who we are" in complaint(url)
        done.set()


def test_it_hangs_up() -> None:
    with answering(lambda method, path, body: None) as url:
        assert "was lost while asking who we are" in complaint(url)


def test_it_breaks() -> None:
    with answering(lambda method, path, body: (500, {"detail": "database is locked"})) as url:
        assert "failed while asking who we are (status 500: database is locked)" in complaint(url)


def test_something_before_it_breaks() -> None:
    with answering(lambda method, path, body: (502, "<html>Bad Gateway</html>")) as url:
        assert "failed while asking who we are (status 502)" in complaint(url)


def test_the_token_is_not_in_what_is_printed() -> None:
    with answering(lambda method, path, body: known(method, path)) as url:
        server = client.connect(f"{url}/", f" {TOKEN}\n")
    assert (server.url, server.version, server.user) == (url, "1.23.2", 1)
    assert TOKEN not in repr(server)


def test_what_the_server_says_is_one_line() -> None:
    body = {"detail": "Validation error", "validation_errors": {"title": ["too\nshort"], "other": "bad"}}
    assert client.error_detail(body) == "too short bad"
    assert client.error_detail("<html>") == ""
    assert client.error_detail({"detail": "x" * 999}) == "x" * 300


# A push that goes wrong


def test_a_batch_whose_answer_is_lost_is_not_sent_again() -> None:
    sent = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        if "/import" in path:
            sent.append(body)
            return None
        return known(method, path)

    with (
        answering(answer) as url,
        pytest.raises(LabelError, match=r"was lost while sending 2 clips from c-000000000000 on.*again"),
    ):
        send_tasks(client.connect(url, TOKEN), 7, [clip(0), clip(1)])
    assert len(sent) == 1


def test_a_server_that_drops_proposals_is_found_out() -> None:
    """Clips 0 and 1 go out with a proposal each; the server says it made one, and its export shows that clip 1 has none."""
    asked: list[tuple[str, str, bytes]] = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        asked.append((method, path, body))
        if "/import" in path:
            return 201, {"task_count": 2, "annotation_count": 0, "prediction_count": 1, "task_ids": [5, 6]}
        if "/export" in path:
            about = {"project": 7, "annotations": [], "drafts": [], "created_at": "", "updated_at": ""}
            return 200, [{"id": 5 + n, "data": clip(n)["data"], "predictions": [9] * (1 - n), **about} for n in (0, 1)]
        return (200, {}) if "/actions" in path else known(method, path)

    with answering(answer) as url, pytest.raises(LabelError) as e:
        send_tasks(client.connect(url, TOKEN), 7, [clip(0, region(0, 5)), clip(1, region(1, 9))])
    assert "made 2 clips and 1 proposals of 2 and 2, first wrong: clip c-000000000001; that batch was taken back" in e.value.what
    deleted = next(body for method, path, body in asked if "/actions" in path)
    assert json.loads(deleted)["selectedItems"] == {"all": False, "included": [5, 6]}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (region(9, 3), "frames 10-3 of 330"),
        (region(-1, 3), "frames 0-3 of 330"),
        (region(3, 331), "frames 4-331 of 330"),
        (region(3.5, 9), "frames 4.5-9 of 330"),  # type: ignore[arg-type]
        (region(3, 9, "Juggling"), "Juggling"),
    ],
)
def test_a_proposal_that_would_break_the_page_is_not_sent(bad: dict[str, Any], why: str) -> None:
    asked = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        asked.append(path)
        return known(method, path)

    with answering(answer) as url, pytest.raises(LabelError) as e:
        send_tasks(client.connect(url, TOKEN), 7, [clip(0, region(0, 5)), clip(1, region(2, 9), bad)])
    assert e.value.what.startswith("clip c-000000000001: a proposal does not fit its page: ")
    assert why in e.value.what
    assert not any("/import" in path for path in asked)


def test_clips_are_taken_one_batch_at_a_time() -> None:
    taken: list[int] = []
    at_import: list[int] = []

    def clips() -> Iterator[dict[str, Any]]:
        for n in range(10):
            taken.append(n)
            yield clip(n % 8)  # the last two come twice

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        if "/import" in path:
            at_import.append(len(taken))
            return 201, {"task_count": len(json.loads(body)), "prediction_count": 0, "task_ids": []}
        return known(method, path)

    told: list[int] = []
    with answering(answer) as url:
        sent = send_tasks(
            client.connect(url, TOKEN), 7, clips(), batch=3, known_clips={"c-000000000001"}, on_progress=told.append
        )
    assert (sent, told) == (7, [3, 3, 1])
    assert at_import == [4, 7, 10]


def test_the_guide_as_label_studio_shows_it() -> None:
    html = _guide_html("# A\n\n![Page](page.png)\n\n| a | b |\n|---|---|\n| 1 | <script>x</script> |\n")
    assert "<h1>A</h1>" in html
    assert "<table>" in html
    assert "page.png" not in html
    assert "<script>" not in html


# The real server


@pytest.fixture(scope="module")
def server(label_studio: LabelStudio) -> client.Server:
    return client.connect(label_studio.url, label_studio.token)


@pytest.fixture
def number(server: client.Server, request: pytest.FixtureRequest) -> int:
    """A project of its own for a test."""
    return made(server, request.node.name)


def made(server: client.Server, name: str, **changes: Any) -> int:
    title = f"deemo {name[:30]} {random.getrandbits(32):08x}"
    about: dict[str, Any] = {"title": title, "template": "nfbl_timeline", "config": CONFIG, "guide": "# Guide", "overlap": 2}
    return ensure_project(server, **(about | changes))


def again(server: client.Server, number: int, **changes: Any) -> int:
    """`ensure_project` as the next push would ask."""
    title = server.client.projects.get(number).title
    about: dict[str, Any] = {"title": title, "template": "nfbl_timeline", "config": CONFIG, "guide": "# Guide", "overlap": 2}
    return ensure_project(server, **(about | changes))


@pytest.mark.slow
def test_who_answers(label_studio: LabelStudio, server: client.Server) -> None:
    assert server.version.startswith("1.")
    assert label_studio.token not in repr(server)
    assert "does not know this token" in complaint(label_studio.url, "f" * 40)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The `parse_obj` method is deprecated")  # the SDK's own
def test_personal_access_tokens(label_studio: LabelStudio) -> None:
    email, password, _ = label_studio.annotator("pat")
    with httpx.Client(base_url=label_studio.url) as browser:
        browser.get("/user/login/")
        form = {"email": email, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        browser.post("/user/login/", data=form)
        said = browser.post("/api/token/", headers={"X-CSRFToken": browser.cookies["csrftoken"]})
    assert said.status_code == 201, said.text
    personal = said.json()["token"]
    server = client.connect(label_studio.url, personal)
    assert read_accounts(server)[server.user] == email
    server.client.tokens.blacklist(refresh=personal)
    assert "was withdrawn" in complaint(label_studio.url, personal)


@pytest.mark.slow
def test_frames_come_back_as_they_went(label_studio: LabelStudio, server: client.Server, number: int) -> None:
    """Of any event, proposed or handed in, and of its score, reason and id; a clip that came with nothing has nothing."""
    sent = {clip(n)["data"]["clip"]: clip(n, *events(n, n % 7)) for n in range(120)}
    edges = [region(0, 1), region(0, FRAMES), region(FRAMES - 1, FRAMES, NAMES[-1])]
    sent |= {clip(900)["data"]["clip"]: clip(900, *edges)}
    assert send_tasks(server, number, sent.values(), batch=50) == 121
    token = label_studio.annotator("frames")[2]
    tasks = label_studio.tasks(number)
    for name in list(sent)[::10]:
        results = [r for p in sent[name]["predictions"] for r in p["result"]]
        label_studio.hand_in(token, tasks[name], *results)
    back = [task for page in fetch_tasks(server, number, tasks_per_batch=25) for task in page]
    assert [t["id"] for t in back] == sorted(tasks.values())
    shown = {t["data"]["clip"]: t for t in back}
    assert {name: t["data"] for name, t in shown.items()} == {name: c["data"] for name, c in sent.items()}
    for name in list(sent)[::10]:
        (annotation,) = shown[name]["annotations"]
        proposed = [r for p in sent[name]["predictions"] for r in p["result"]]
        assert annotation["result"] == proposed
        assert annotation["prediction"].get("result", []) == proposed
        assert annotation["was_cancelled"] is False
        assert len(annotation["unique_id"]) == 36
    assert sum(len(t["annotations"]) for t in back) == len(list(sent)[::10])
    assert "@" not in json.dumps(back)


@pytest.mark.slow
def test_a_clip_is_pushed_once(server: client.Server, number: int) -> None:
    assert send_tasks(server, number, [clip(n, *events(n)) for n in range(30)], batch=20) == 30
    assert send_tasks(server, number, [clip(n, *events(n)) for n in range(40)], batch=20) == 10
    assert len(list(list_tasks(server, number))) == 40
    assert read_clip_ids(server, number) == {clip(n)["data"]["clip"] for n in range(40)}


@pytest.mark.slow
def test_what_a_lost_answer_left_behind(label_studio: LabelStudio, number: int) -> None:
    """The server takes the second batch, and its answer never arrives: the next push sends the third only."""
    imports = []

    def through(method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        with label_studio.client() as asking:
            got = asking.request(method, path, content=body, headers={"Content-Type": "application/json"})
        if "/import" in path:
            imports.append(path)
            if len(imports) == 2:
                return None
        return got.status_code, got.content

    clips = [clip(n, *events(n)) for n in range(30)]
    with answering(through) as url:
        server = client.connect(url, label_studio.token)
        with pytest.raises(LabelError, match="was lost while sending 10 clips from c-00000000000a on"):
            send_tasks(server, number, clips, batch=10)
        assert send_tasks(server, number, clips, batch=10) == 10
        assert [b.clip for b in list_tasks(server, number)] == [c["data"]["clip"] for c in clips]
    assert len(imports) == 3


@pytest.mark.slow
def test_two_people_label_each_clip_and_a_third_none(label_studio: LabelStudio, server: client.Server, number: int) -> None:
    """In the label stream, at the same time; what they are given has nothing of each other's in it."""
    send_tasks(server, number, [clip(n, *events(n)) for n in range(8)])
    people = {name: label_studio.annotator(name)[2] for name in ("ann", "ben")}
    given: dict[str, list[int]] = {name: [] for name in people}

    def following(token: str) -> dict[str, Any] | None:
        with label_studio.client(token) as asking:
            got = asking.get(f"/api/projects/{number}/next")
        return dict(got.json()) if got.status_code == 200 else None

    for turn in range(20):
        for name, token in people.items():
            if (task := following(token)) and task["id"] not in given[name]:
                given[name].append(task["id"])
                assert task["annotations"] == []
                assert len(task["predictions"][0]["result"]) == 5
                if name == "ann" and turn == 3:  # one skips a clip: it does not come again, and does not go to somebody else
                    with label_studio.client(token) as asking:
                        asking.post(f"/api/tasks/{task['id']}/annotations?was_cancelled=1", json={"result": []})
                else:
                    label_studio.hand_in(token, task["id"], region(1, 2))
    tasks = sorted(label_studio.tasks(number).values())
    assert sorted(given["ann"]) == sorted(given["ben"]) == tasks
    assert following(label_studio.annotator("cleo")[2]) is None


@pytest.mark.slow
def test_a_clip_that_two_hold_is_not_given_to_a_third(label_studio: LabelStudio, server: client.Server, number: int) -> None:
    """It is opened by two and handed in by none yet."""
    send_tasks(server, number, [clip(0)])
    statuses = []
    for name in ("ann", "ben", "cleo"):
        with label_studio.client(label_studio.annotator(name)[2]) as asking:
            statuses.append(asking.get(f"/api/projects/{number}/next").status_code)
    assert statuses == [200, 200, 404]


@pytest.mark.slow
def test_a_change_of_an_annotation_shows_in_brief(label_studio: LabelStudio, server: client.Server, number: int) -> None:
    """Made, changed, skipped, deleted: updated_at is another. Opened, or begun and not handed in: it is not."""
    send_tasks(server, number, [clip(n, *events(n)) for n in range(2)])
    token, (task, other) = label_studio.annotator("ann")[2], sorted(label_studio.tasks(number).values())

    def state() -> list[str]:
        return [b.updated_at for b in list_tasks(server, number)]

    with label_studio.client(token) as asking:
        before = state()
        asking.get(f"/api/projects/{number}/next")
        assert asking.post(f"/api/tasks/{task}/drafts", json={"result": [region(1, 2)]}).status_code == 201
        assert state() == before
        first = label_studio.hand_in(token, task, region(1, 2))["id"]
        states = [before, state()]
        asking.patch(f"/api/annotations/{first}", json={"result": [region(1, 3)]})
        states.append(state())
        asking.post(f"/api/tasks/{task}/annotations?was_cancelled=1", json={"result": []})
        states.append(state())
        asking.delete(f"/api/annotations/{first}")
        states.append(state())
    assert len({s[0] for s in states}) == 5
    assert {s[1] for s in states} == {before[1]}
    ((only,),) = fetch_tasks(server, number, is_wanted=lambda brief: brief.updated_at not in before)
    brief = next(list_tasks(server, number))
    assert only["id"] == task != other
    assert (only["created_at"], only["updated_at"]) == (brief.created_at, brief.updated_at)
    assert brief.annotations == 1
    assert [a["was_cancelled"] for a in only["annotations"]] == [True]
    assert list(fetch_tasks(server, number, is_wanted=lambda brief: False)) == []


@pytest.mark.slow
def test_clips_that_go_while_we_read(server: client.Server, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_studio_projects, "TASKS_PER_LISTING", 10)
    label_studio_projects.send_tasks(server, number, [clip(n) for n in range(35)])
    seen = []
    for page in label_studio_projects.fetch_tasks(server, number, tasks_per_batch=5):
        if not seen:
            assert label_studio_projects.delete_clips(server, number, {clip(n)["data"]["clip"] for n in (1, 2, 33)}) == 3
        seen += [t["data"]["clip"] for t in page]
    assert seen == [clip(n)["data"]["clip"] for n in range(35) if n != 33]
    assert label_studio_projects.delete_clips(server, number, {"c-of-nobody"}) == 0
    assert len(label_studio_projects.read_clip_ids(server, number)) == 32


@pytest.mark.slow
def test_our_project_is_found_again(server: client.Server, number: int) -> None:
    assert again(server, number, recorded_number=number) == number
    assert again(server, number) == number  # private/label_studio.json was lost
    assert again(server, number, template="mer_clues") != number
    said = server.client.projects.get(number)
    assert (said.maximum_annotations, said.show_instruction, said.enable_empty_annotation) == (2, False, True)
    assert (said.show_collab_predictions, said.show_annotation_history) == (True, False)
    assert "<h1>Guide</h1>" in said.expert_instruction
    assert again(server, number, overlap=3, guide="*new*") == number
    said = server.client.projects.get(number)
    assert said.maximum_annotations == 3
    assert "<em>new</em>" in said.expert_instruction


@pytest.mark.slow
def test_a_wrong_project(server: client.Server, number: int) -> None:
    with pytest.raises(LabelError, match=rf"project {number} .*is not the one of deemo other"):
        made(server, "other", recorded_number=number)
    server.client.projects.delete(number)
    with pytest.raises(LabelError, match=rf"project {number} for nfbl_timeline is gone") as e:
        made(server, "other", recorded_number=number)
    assert "private/label_studio.json" in e.value.advice


@pytest.mark.slow
def test_a_page_that_is_in_use(label_studio: LabelStudio, server: client.Server, number: int) -> None:
    """It may change as long as nothing that was said is lost."""
    label_studio_projects.send_tasks(server, number, [clip(0)])
    (task,) = label_studio.tasks(number).values()
    label_studio.hand_in(label_studio.annotator("ann")[2], task, region(3, 9, NAMES[4]))
    without_other = CONFIG.replace(f'value="{NAMES[5]}"', 'value="Something else"')
    assert again(server, number, recorded_number=number, config=without_other) == number
    assert server.client.projects.get(number).label_config == without_other.strip()
    without_used = CONFIG.replace(f'value="{NAMES[4]}"', 'value="Something else"')
    with pytest.raises(LabelError) as e:
        again(server, number, recorded_number=number, config=without_used)
    assert NAMES[4] in e.value.what
    assert "\n" not in str(e.value)
    assert server.client.projects.get(number).label_config == without_other.strip()


@pytest.mark.slow
def test_the_videos_are_served(label_studio: LabelStudio, server: client.Server, number: int, tmp_path: Path) -> None:
    folder = label_studio.project.released_dir
    folder.mkdir(exist_ok=True)
    (folder / "c-0.mp4").write_bytes(b"x" * 100)
    for _ in range(2):
        label_studio_projects.ensure_storage(server, number, folder)
    assert len(server.client.import_storage.local.list(project=number)) == 1
    with label_studio.client(label_studio.annotator("ann")[2]) as asking:
        assert asking.get("/data/local-files/?d=clips/c-0.mp4").content == b"x" * 100
    with pytest.raises(LabelError, match="does not serve the folder of released clips") as e:
        label_studio_projects.ensure_storage(server, number, tmp_path)
    assert f"DOCUMENT_ROOT={tmp_path.parent}" in e.value.advice
    with pytest.raises(LabelError, match="does not see the folder"):
        label_studio_projects.ensure_storage(server, number, folder.parent / "nothing")
    deeper = folder / "deeper"
    deeper.mkdir()
    (deeper / "a.mp4").write_bytes(b"x")
    with pytest.raises(LabelError, match=r"does not serve deeper/a\.mp4: its root is another"):
        label_studio_projects.ensure_storage(server, number, deeper)
    shutil.rmtree(deeper)


@pytest.mark.slow
def test_keys_of_an_annotator(label_studio: LabelStudio, server: client.Server) -> None:
    body = templates.read_hotkeys()
    email, _, token = label_studio.annotator("keys")
    theirs = {"image:zoom:in": {"key": "ctrl+plus", "active": True}}
    with label_studio.client(token) as asking:
        asking.patch("/api/current-user/hotkeys/", json={"custom_hotkeys": theirs})
        user = next(n for n, address in label_studio_projects.read_accounts(server).items() if address == email)
        label_studio_projects.install_hotkeys_for(server, user, body)
        assert asking.get("/api/current-user/hotkeys/").json() == {"custom_hotkeys": theirs | body["custom_hotkeys"]}
        asking.patch("/api/current-user/hotkeys/", json={"custom_hotkeys": {}})
        label_studio_projects.install_hotkeys(label_studio.url, token, body)
        assert asking.get("/api/current-user/hotkeys/").json() == body


@pytest.mark.slow
def test_a_thousand_clips(server: client.Server, number: int, record_property: Callable[[str, object], None]) -> None:
    """With five proposals each: 5 s on a quiet machine; the limit here is for a busy one. Memory stays flat."""
    began = time.monotonic()
    before = _resident()
    assert label_studio_projects.send_tasks(server, number, (clip(n, *events(n)) for n in range(1000))) == 1000
    record_property("push_1000_s", took := time.monotonic() - began)
    assert took < 30
    assert sum(len(page) for page in label_studio_projects.fetch_tasks(server, number)) == 1000
    assert _resident() - before < 50


def _resident() -> int:
    """MB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20
