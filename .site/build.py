"""Build the site: `python .site/build.py FOLDER`, with the extra `docs`.

The guides and the kept texts stand in it as they lie in the repository. The gallery is made of the
kept figures, their captions and their sweep files, the reference of what `dlnsweep explain`,
`--help` and docstrings say: so none of them can say what is not so. A warning fails it.
"""

from __future__ import annotations

import argparse
import inspect
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer
from sphinx.cmd.build import main as sphinx

import dlnsweep
from dlnsweep.cli.app import app
from dlnsweep.cli.guide import guides, title
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.explain import explain, topics
from dlnsweep.spec.sweep import Sweep

ROOT = Path(__file__).parents[1]
TEXTS = ("dlnsweep/guide/*.md", "results/kept/**/README.md", ".github/*.md", "CHANGELOG.md")
BESIDE = (
    "results/kept/**/*.png",
    "results/kept/**/*.csv",
    "sweeps/*.toml",
    "LICENSE",
    ".github/*.cff",
)

_IMAGE = re.compile(r"^!\[([^\]]*)\]\(([^)]+)\)$", re.M)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)]*)?\)")


class Shown(NamedTuple):
    """A kept figure, what is said below it, and the text that says so."""

    figure: Path
    what: str
    verdict: str
    text: Path


def copied(sources: Path) -> None:
    """Copy the texts and what stands beside them, at their places in the repository."""
    for pattern in (*TEXTS, *BESIDE):
        for file in ROOT.glob(pattern):
            to = sources / file.relative_to(ROOT)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)
    shutil.copytree(Path(__file__).parent / "_static", sources / "_static")
    shutil.copyfile(Path(__file__).parent / "conf.py", sources / "conf.py")


def toctree(caption: str, pages: Iterable[str]) -> str:
    """Return the part of the side bar below a caption."""
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])


def index() -> str:
    """Return the README, with what the site has beside it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    kept = sorted(
        file.relative_to(ROOT).with_suffix("").as_posix()
        for file in (ROOT / "results" / "kept").glob("**/README.md")
    )
    return text + "\n" + "\n".join(
        [
            toctree("Guides", (f"dlnsweep/guide/{name}" for name in guides())),
            toctree("Results", ("gallery", *kept)),
            toctree("Reference", ("reference/settings", "reference/commands", "reference/python")),
            toctree("Project", (".github/CONTRIBUTING", ".github/SECURITY", "CHANGELOG")),
        ]
    )  # fmt: skip


def figures() -> Iterator[Shown]:
    """Yield each kept figure where a text shows it, its own first; then those that none shows."""
    seen: set[Path] = set()
    kept = sorted(ROOT.glob("results/kept/**/README.md"))
    for text in (*kept, *sorted(ROOT.glob("dlnsweep/guide/*.md")), ROOT / "README.md"):
        content = text.read_text(encoding="utf-8")
        for match in _IMAGE.finditer(content):
            figure = (text.parent / match[2]).resolve()
            if figure not in seen:
                seen.add(figure)
                yield Shown(figure, match[1], _said(content[match.end() :], text), text)
    for figure in sorted(set(ROOT.glob(BESIDE[0])) - seen):
        text = figure.parent / "README.md"
        words = f"{figure.parent.name}: {figure.stem}".replace("_", " ")
        yield Shown(figure, words, "", text if text.exists() else ROOT / "results/kept/README.md")


def _said(after: str, text: Path) -> str:
    """Return the first paragraph below an image, its links seen from the top of the repository."""
    paragraphs = (piece.strip() for piece in after.split("\n\n"))
    first = next((piece for piece in paragraphs if piece and not piece.startswith("![")), "")
    if first.startswith(("#", "|", "```", "    ")):
        return ""

    def seen_from_the_top(link: re.Match[str]) -> str:
        place = (text.parent / link[1]).resolve() if link[1] else text
        return f"]({place.relative_to(ROOT).as_posix()}{link[2] or ''})"

    words = _LINK.sub(seen_from_the_top, first)
    whole = words.startswith("*") and words.endswith("*") and not words.startswith("**")
    return words.strip("*") if whole else words


def sweep_of(shown: Shown) -> Path | None:
    """Return the file of a figure's sweep, which what is said of it or its name names."""
    files = {file.stem: file for file in (ROOT / "sweeps").glob("*.toml")}
    for name in re.findall(r"sweeps/(\w+)\.toml", shown.verdict):
        if name in files:
            return files[name]
    prefixes = {"open_questions": "open_", "deep_prior": "prior_"}
    stem = prefixes.get(shown.figure.parent.name, "") + shown.figure.stem
    for name in (stem, shown.figure.parent.name):
        fits = [each for each in files if f"{name}_".startswith(f"{each}_")]
        if fits:
            return files[max(fits, key=len)]
    return None


def gallery() -> str:
    """Return the page of all kept figures."""
    lines = [
        "# Gallery",
        "",
        "Every kept figure, with what came of it, the sweep file that made it and its size. Times",
        "of computing, on two cores, stand in [the table](results/kept/README.md) of what is kept.",
        "",
    ]
    text = None
    for shown in sorted(figures(), key=lambda each: each.text.as_posix()):
        where = shown.text.relative_to(ROOT).as_posix()
        if shown.text != text:
            text = shown.text
            page = "index.md" if where == "README.md" else where
            lines += [f"## {title_of(text)}", "", f"[The whole text]({page}).", ""]
        path = shown.figure.relative_to(ROOT).as_posix()
        lines += [f"### {shown.what[:1].upper()}{shown.what[1:]}", ""]
        lines += [f":::{{image}} {path}", ":loading: lazy", f":alt: {shown.what}", ":::", ""]
        lines += [shown.verdict, ""]
        file = sweep_of(shown)
        if file is not None:
            name = file.relative_to(ROOT).as_posix()
            lines += [
                f"::::{{dropdown}} `dlnsweep run {name}`: {size(file)}", ":icon: file-code", "",
                "```toml", file.read_text(encoding="utf-8").strip(), "```", "::::", "",
            ]  # fmt: skip
    return "\n".join(lines)


def title_of(text: Path) -> str:
    """Return what a text is called."""
    return title(text.read_text(encoding="utf-8"))


def size(file: Path) -> str:
    """Return how many runs a sweep has, and how long they are."""
    plan = make_plan(Sweep.from_file(file))
    column = plan.settings.get("training.num_steps")
    steps = [plan.shared["training.num_steps"]] if column is None else sorted(set(column.tolist()))
    long = f"{steps[0]:_}" if len(steps) == 1 else f"{steps[0]:_} to {steps[-1]:_}"
    return f"{plan.num_runs:_} runs of {long} steps".replace("_", " ")


def settings() -> str:
    """Return what `dlnsweep explain` says of each section and kind."""
    lines = ["# Settings", "", "What `dlnsweep explain KIND` prints.", ""]
    for kind in topics():
        lines += [f"## {kind}", "", "```text", explain(kind).strip(), "```", ""]
    return "\n".join(lines)


def commands() -> str:
    """Return what `--help` says of each command."""
    lines = ["# Commands", ""]
    group: Any = typer.main.get_command(app)
    with group.make_context("dlnsweep", ["guide"], resilient_parsing=True) as above:
        for name in sorted(group.commands):
            command = group.commands[name]
            context = type(above)(command, info_name=f"dlnsweep {name}")
            lines += [f"## dlnsweep {name}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines)


def python() -> str:
    """Return the page of the public names, of their docstrings."""
    lines = ["# Python", "", "Everything that `import dlnsweep` offers.", ""]
    for name in sorted(dlnsweep.__all__, key=str.lower):
        if name.startswith("_"):
            continue
        value = getattr(dlnsweep, name)
        kind = "class" if inspect.isclass(value) else "function"
        members = ["   :members:"] if kind == "class" else []
        lines += ["```{eval-rst}", f".. auto{kind}:: dlnsweep.{name}", *members, "```", ""]
    return "\n".join(lines)


def main() -> None:
    """Collect the sources in a folder of their own, and have Sphinx set them."""
    parser = argparse.ArgumentParser(description="Build the site.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        sources = Path(temporary)
        copied(sources)
        (sources / "reference").mkdir()
        for page, text in (
            ("index", index()), ("gallery", gallery()), ("reference/settings", settings()),
            ("reference/commands", commands()), ("reference/python", python()),
        ):  # fmt: skip
            (sources / f"{page}.md").write_text(text, encoding="utf-8")
        sys.exit(sphinx(["-W", "--keep-going", "-q", "-j", "2", str(sources), str(folder)]))


if __name__ == "__main__":
    main()
