"""The tables of docs/performance.md, from the last line of each kind in bench/results.jsonl.

usage: python bench/report.py   -> docs/performance.md, with what stands between its two marks made anew

`make bench` ends with it. What the tables mean is written around them, by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent
PAGE = BENCH.parent / "docs" / "performance.md"
BEGIN, END = "<!-- made by bench/report.py from bench/results.jsonl -->", "<!-- end -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def about(line: dict[str, Any]) -> str:
    """When and on what it was measured."""
    machine = line["machine"]
    cores = machine.get("cores") or machine.get("cpus")
    kind = f"{machine['cpu']}, " if machine.get("cpu") else ""
    day = (line.get("when") or line["at"])[:10]
    return f"{day}; {kind}{cores} cores, Python {machine['python']}, load {machine['load']} at the start"


def clip(line: dict[str, Any]) -> Iterator[str]:
    rows = line["results"]
    deface, plain = (rows.get(name, {}).get("median_s") for name in ("deface", "transcode"))
    yield f"### One clip: {line['clip']['name']}, {line['clip']['frames']} frames\n"
    yield f"{about(line)}; {next(iter(rows.values())).get('repeats', 1)} repeats.\n"
    out = []
    for name, row in rows.items():
        if "median_s" not in row:
            out.append([name, f"failed: {row['error']}", *[""] * 6])
            continue
        took, seen = row["median_s"], row.get("recall")
        times = [f"{peer / took:.2f}" if peer else "" for peer in (deface, plain)]
        faces = f"{seen['faces'] - seen['faces_bare']} of {seen['faces']}" if seen else ""
        hands = f"{seen['hands_kept']} of {seen['hands']}" if seen else ""
        out.append([name, f"{took:.1f} ({row['least_s']:.1f}–{row['most_s']:.1f})", f"{row['cpu_s']:.1f}", *times, faces, hands,
                    f"{row['megabytes']:.2f}"])  # fmt: skip
    head = ("", "s, median (least–most)", "CPU s", "× deface", "× transcode", "faces covered", "hands kept", "MB")
    yield table(head, out)
    if stages := rows.get("full-run", {}).get("stages"):
        yield "Stages of the full run, wall seconds beside others, in the last repeat:\n"
        yield ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items()) + ".\n"


def voice(line: dict[str, Any]) -> Iterator[str]:
    found = line["mcadams"]
    told = {n: "{median:.3f} ({least:.3f}–{most:.3f})".format(**found[n]) for n in ("ours", "librosa")}
    yield "### McAdams voices\n"
    yield f"{about(line)}.\n"
    yield (
        f"CPU s for {found['speech_s']:.0f} s of speech: ours {told['ours']}, a warm librosa loop {told['librosa']}: "
        f"{found['ratio']:.2f} times its speed; outputs at most {found['difference']:.1e} apart.\n"
    )


def scale(line: dict[str, Any]) -> Iterator[str]:
    sizes = sorted({int(size) for row in line["rows"].values() for size in row})
    yield f"### Projects of {', '.join(f'{n:,}' for n in sizes)} clips\n"
    yield f"{about(line)}. Seconds, CPU ms a clip, peak MB.\n"
    out = []
    for name, rows in line["rows"].items():
        cells = [
            f"{r['s']:.2f} s, {1000 * r['cpu_s'] / n:.2f} ms, {r['mb']:.0f} MB" if (r := rows.get(str(n))) else "" for n in sizes
        ]
        grows = line["growth"].get(name)
        out.append([name, *cells, "" if grows is None else f"{grows:.2f}"])
    yield table(("", *(f"{n:,} clips" for n in sizes), "growth"), out)
    yield "Growth: CPU time of one more clip at the largest size, over that at the one before; 1 is linear.\n"


def label_studio(line: dict[str, Any]) -> Iterator[str]:
    yield "### Label Studio\n"
    yield f"{about(line)}. Seconds.\n"
    names = {"push_s": "push", "plain_import_s": "its plain REST import", "push_again_s": "push, nothing new", "pull_s": "pull",
             "pull_again_s": "pull, nothing new", "mb_pulled": "peak MB"}  # fmt: skip
    shown = [n for n in names if any(n in row for row in line["rows"])]
    rows = [[f"{row['clips']:,}", *(f"{row[n]:.1f}" if n in row else "" for n in shown)] for row in line["rows"]]
    yield table(("clips", *(names[n] for n in shown)), rows)


def writer(line: dict[str, Any]) -> Iterator[str]:
    yield f"### Tables of a dataset, {line['rows']:,} rows of 300 frames\n"
    yield f"{about(line)}; three repeats by turns.\n"
    out = []
    for who, rows in line["results"].items():
        took = sorted(r["seconds"] for r in rows)
        middle = next(r for r in rows if r["seconds"] == took[1])
        told = f"{took[1]:.1f} ({took[0]:.1f}–{took[2]:.1f})"
        out.append([who, told, f"{middle['cpu_s']:.1f}", str(middle["peak_mb"]), f"{middle['mb']:.1f}"])
    yield table(("", "s, median (least–most)", "CPU s", "peak MB", "file MB"), out)


KINDS = (clip, voice, label_studio, writer, scale)


def kinds(line: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """What a line can be shown as, and what it takes the place of if it stood before."""
    match line.get("bench", "clip"):
        case "clip":
            if line["results"]:
                yield clip, line["clip"]["name"]
            if "ratio" in line["mcadams"]:
                yield voice, ""
        case "scale":
            yield scale, f"{max(int(n) for row in line['rows'].values() for n in row):09}"
        case "label_studio":
            yield label_studio, ""
        case "writer":
            yield writer, ""


def tables(lines: Iterable[str]) -> str:
    """Markdown, from lines of results.jsonl: of each kind, clip and size the last."""
    last: dict[tuple[int, str], str] = {}
    for line in map(json.loads, lines):
        for kind, which in kinds(line):
            last[KINDS.index(kind), which] = "\n".join(kind(line))
    return "\n".join(last[key] for key in sorted(last))


def main() -> int:
    page = PAGE.read_text("utf-8")
    before, rest = page.split(BEGIN)
    made = tables((BENCH / "results.jsonl").read_text("utf-8").splitlines())
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n{END}{rest.split(END)[1]}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
