"""The layering rule of the package, as data plus a parser: who may import whom. docs/decisions/0014-house.md says why."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "deemo_data"

# A package imports only from lines above its own. Packages on one line do not import each other.
LAYERS = (
    ("errors",),
    ("files", "notices", "pseudonyms"),
    ("clip",),
    ("consent",),
    ("stats", "reports"),
    ("media",),
    ("tracks",),
    ("models",),
    ("stages",),
    ("pipeline",),
    ("labels",),
    ("agreement", "preannotation", "dataset", "sources"),
    ("project", "baseline"),
    ("annotation",),
    ("workflow",),
    ("audit", "review", "demo"),
    ("cli",),
)
# The same, for the sub-folders of a package; "." is its own files. A package that is not listed here has no order inside.
INSIDE = {
    "models": (
        ("runtime",),
        ("faces", "speech", "text", "."),
    ),
    "stages": (("figure", "gestures", "voices"), ("detect",), ("deidentify",), (".",)),
    "dataset": ((".",), ("documents",), ("validation",), ("export", "conversion")),
    "baseline": ((".",), ("scoring", "checks", "llama"), ("evaluation",)),
    "annotation": (("pages", "reading"), ("label_studio",), (".",)),
    "audit": (("attacks",), (".",)),
}
DATA = {"profiles", "vocabularies"}  # folders that hold tables and no code
NOT_CODE = {"__init__", "__main__"}
MAX_FILES = 12
# Closed sets that hold more files than that, each with its reason.
WIDER: dict[str, str] = {}
MAX_IMPORTS = 14  # modules of ours that one module may name
NAMES_ALL = ("cli.", "pipeline.order")  # the command line names every command, the order of the stages every stage
SOURCE_OF_SAFE_CLIPS = "project/release.py"

Modules = Mapping[str, str]  # dotted path below deemo_data -> source text


def read_modules(package: Path) -> dict[str, str]:
    """{dotted name below the package: source}; a package itself is named by its folder."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    return found


def imported_modules(name: str, modules: Modules) -> Iterator[tuple[int, str]]:
    """(line, module of ours) of every import of a module: lazy and type-only ones too."""
    for node in ast.walk(ast.parse(modules[name])):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "?"  # relative imports are not used here: reported by `faults`
                continue
            where = (node.module or "").split(".")
            if where[0] != "deemo_data":
                continue
            base = ".".join(where[1:])
            for alias in node.names:
                full = f"{base}.{alias.name}".strip(".")
                yield node.lineno, full if full in modules else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "deemo_data":
                    yield node.lineno, ".".join(alias.name.split(".")[1:])


def place_of(module: str) -> tuple[str, str]:
    """(package, sub-folder or ".") of a module."""
    parts = module.split(".")
    return parts[0], parts[1] if len(parts) > 2 else "."


def line_of(name: str, lines: tuple[tuple[str, ...], ...]) -> int:
    """The number of the line that a package stands on; -1 for one that is on none."""
    return next((number for number, names in enumerate(lines) if name in names), -1)


def layer_faults(modules: Modules) -> list[str]:
    """Every import that goes up, or sideways, and every package that has no line."""
    faults = []
    for name in modules:
        if not name or (name in DATA and not modules[name]):
            continue
        package, folder = place_of(name)
        if line_of(package, LAYERS) < 0:
            faults.append(f"{name}: {package} is on no line of LAYERS")
            continue
        for line, other in imported_modules(name, modules):
            if other == "?":
                faults.append(f"{name}:{line}: a relative import")
                continue
            if not other:
                continue  # deemo_data itself: its version
            theirs, their_folder = place_of(other)
            if theirs != package:
                if line_of(theirs, LAYERS) >= line_of(package, LAYERS):
                    faults.append(f"{name}:{line}: {package} may not import {theirs}")
            elif folder != their_folder and package in INSIDE:
                mine, its = line_of(folder, INSIDE[package]), line_of(their_folder, INSIDE[package])
                beside = mine == its and "." in (folder, their_folder) and folder == "."
                if min(mine, its) < 0 or (its >= mine and not beside):
                    faults.append(f"{name}:{line}: {package}/{folder} may not import {package}/{their_folder}")
    return faults


def find_circles(modules: Modules) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others (Tarjan's strongly connected components)."""
    edges = {name: {o for _, o in imported_modules(name, modules) if o in modules and o != name} for name in modules}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = []
            while True:
                group.append(stack.pop())
                if group[-1] == name:
                    break
            if len(group) > 1:
                circles.append(sorted(group))

    for name in edges:
        if name not in index:
            visit(name)
    return circles


def find_wide_folders(modules: Modules) -> list[str]:
    """Folders with more than MAX_FILES code files."""
    count = Counter(name.rpartition(".")[0] for name in modules if name and name.rpartition(".")[2] not in NOT_CODE)
    packages = {name.rpartition(".")[0] for name in modules}
    code = Counter({folder: sum(1 for n in modules if n.rpartition(".")[0] == folder and n not in packages) for folder in count})
    return [f"{folder or 'deemo_data'}: {n} files" for folder, n in code.items() if n > MAX_FILES and folder not in WIDER]


def find_busy_modules(modules: Modules) -> list[str]:
    """Modules that import more than MAX_IMPORTS of ours."""
    found = {name: len({o for _, o in imported_modules(name, modules)}) for name in modules}
    return [f"{name}: {n} imports" for name, n in found.items() if n > MAX_IMPORTS and not name.startswith(NAMES_ALL)]


def find_mints(modules: Modules) -> list[str]:
    """Modules that make a SafeClip, other than the one that may."""
    allowed = SOURCE_OF_SAFE_CLIPS.removesuffix(".py").replace("/", ".")
    return [
        f"{name}:{node.lineno}: makes a SafeClip"
        for name, text in modules.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "SafeClip"
        and name != allowed
    ]


def find_projects(modules: Modules) -> list[str]:
    """Modules below the project layer that name `Project`."""
    floor = line_of("project", LAYERS)
    return [
        f"{name}:{node.lineno}: names Project"
        for name, text in modules.items()
        if name and 0 <= line_of(place_of(name)[0], LAYERS) < floor
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Name) and node.id == "Project") or (isinstance(node, ast.alias) and node.name == "Project")
    ]


MODULES = read_modules(PACKAGE)


def test_packages_import_only_from_lines_above() -> None:
    assert layer_faults(MODULES) == []


def test_no_imports_go_in_a_circle() -> None:
    assert find_circles(MODULES) == []


def test_no_folder_is_too_wide() -> None:
    assert find_wide_folders(MODULES) == []


def test_no_module_imports_too_many_of_ours() -> None:
    assert find_busy_modules(MODULES) == []


def test_only_release_mints_safe_clips() -> None:
    assert find_mints(MODULES) == []
    assert "SafeClip(" in MODULES["project.release"]


def test_below_the_project_layer_nobody_names_project() -> None:
    assert find_projects(MODULES) == []


def test_every_package_of_the_rule_is_there() -> None:
    there = {name.split(".")[0] for name in MODULES if name} - DATA
    assert {name for line in LAYERS for name in line} == there
    for package, lines in INSIDE.items():
        folders = {place_of(name)[1] for name in MODULES if name.startswith(f"{package}.")} | {"."}
        assert {name for line in lines for name in line} == folders, package


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("from deemo_data.labels import store\n", "media may not import labels"),
        ("def f():\n    from deemo_data.pipeline import store\n", "media may not import pipeline"),
        ("if TYPE_CHECKING:\n    from deemo_data.project.project import Project\n", "media may not import project"),
        ("import deemo_data.stages.detect.propose\n", "media may not import stages"),
        ("from . import frames\n", "a relative import"),
    ],
)
def test_an_import_that_goes_up_is_found(text: str, says: str) -> None:
    assert any(says in fault for fault in layer_faults(MODULES | {"media.new": text}))


def test_an_import_between_packages_on_one_line_is_found() -> None:
    assert layer_faults(MODULES | {"sources.new": "from deemo_data.dataset import records\n"})
    assert not layer_faults(MODULES | {"sources.new": "from deemo_data.labels import label\n"})


def test_an_import_that_goes_up_inside_a_package_is_found() -> None:
    wrong = "from deemo_data.stages.detect.find_faces import FindFaces\n"
    assert layer_faults(MODULES | {"stages.gestures.new": wrong})
    assert not layer_faults(MODULES | {"stages.deidentify.new": wrong})


def test_a_package_without_a_line_is_found() -> None:
    assert layer_faults(MODULES | {"utils.strings": ""}) == ["utils.strings: utils is on no line of LAYERS"]


def test_a_circle_is_found() -> None:
    lazy = {"a.x": "def f():\n    from deemo_data.a import y\n", "a.y": "from deemo_data.a import z\n", "a.z": ""}
    assert find_circles(lazy) == []
    types = "if TYPE_CHECKING:\n    from deemo_data.a.x import X\n"
    assert find_circles(lazy | {"a.z": types}) == [["a.x", "a.y", "a.z"]]


def test_a_wide_folder_is_found() -> None:
    many = {f"a.m{n}": "" for n in range(MAX_FILES)} | {"a": "", "a.sub": "", "a.sub.m": ""}
    assert find_wide_folders(many) == []
    assert find_wide_folders(many | {"a.more": ""}) == ["a: 13 files"]


def test_a_busy_module_is_found() -> None:
    there = {f"a.m{n}": "" for n in range(MAX_IMPORTS + 1)} | {"a": ""}
    text = "".join(f"from deemo_data.a import m{n}\n" for n in range(MAX_IMPORTS + 1))
    assert find_busy_modules(there | {"b.busy": text}) == [f"b.busy: {MAX_IMPORTS + 1} imports"]
    assert find_busy_modules(there | {"cli.busy": text}) == []


@pytest.mark.parametrize("text", ["def f(c):\n    return SafeClip(c)\n", "def f(c):\n    return clip.SafeClip(c)\n"])
def test_another_mint_is_found(text: str) -> None:
    assert find_mints({"stages.release": text, "project.release": text}) == ["stages.release:2: makes a SafeClip"]


@pytest.mark.parametrize("text", ["def f(p: Project): ...\n", "from deemo_data.project.project import Project\n"])
def test_a_project_below_its_layer_is_found(text: str) -> None:
    assert len(find_projects({"dataset.x": text, "workflow.x": text})) == 1
