"""The figures and the summary table of a results folder."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts import plugins
from dlnsweep.contracts.figure import FIGURES, default_kind
from dlnsweep.errors import DlnsweepError, FigureError, SpecError, StoreError
from dlnsweep.figures.draw import draw, save
from dlnsweep.figures.drawn import remember, up_to_date
from dlnsweep.machine.backend import load_matplotlib
from dlnsweep.settings.base import Settings
from dlnsweep.settings.figure_files import file_stems
from dlnsweep.settings.sentences import printable, show
from dlnsweep.spec import file as sweepfile
from dlnsweep.spec.figures.reading import read_table, same_files, tables_of
from dlnsweep.store import Store
from dlnsweep.store.interface import Files

if TYPE_CHECKING:
    import pandas as pd

    from dlnsweep.results import Results
    from dlnsweep.results.joined import Joined

_WHAT_DRAWS = (
    "dlnsweep.results",
    "dlnsweep.figures.kinds.curves",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
)


def draw_figures(
    results: str | Path | Results | Joined, figures: Sequence[Any] | None = None
) -> list[Path | str]:
    """Draw figures of a sweep's results and write their files into its folder.

    Args:
        results: The results, their folder, or its address; or several as `concat` joins them,
            whose figures go into the folder "figures" here.
        figures: What to draw: tables of the keys of `[figure]`, or their settings; what the
            sweep's file asked for by default.

    Returns:
        The files written: paths, or addresses.

    Raises:
        SpecError: If there is no figure to draw, or one asks for what was not recorded.
        StoreError: If nothing is done yet, or the files cannot be written.
        FigureError: If a figure cannot be drawn for another reason. All others are drawn.
    """
    paths: list[Path | str] = []
    failures: list[DlnsweepError] = []
    for found in drawn_one_by_one(results, figures):
        if isinstance(found, DlnsweepError):
            failures.append(found)
        else:
            paths += found
    raise_all(failures)
    return paths


def drawn_one_by_one(
    results: str | Path | Results | Joined,
    figures: Sequence[Any] | None = None,
    out: str | Path | None = None,
) -> Iterator[list[Path | str] | DlnsweepError]:
    """Yield the files of each figure, or why it could not be drawn; see `draw_figures`.

    Args:
        results: The results, their folder, or its address.
        figures: What to draw; what the sweep's file asked for by default.
        out: The folder of the files; `figures` in the results' own by default.
    """
    plugins.load()
    from dlnsweep.results.joined import Joined, opened

    results = opened(results)
    if isinstance(results, Joined) and out is None:
        # Of several folders none is more theirs than another.
        out = "figures"
    wanted = stored_figures(results) if figures is None else _settings_of(figures)
    if not wanted:
        raise SpecError(
            f"{results.path}: its sweep file has no [figure]; add one and run again, or give a "
            "file with one: dlnsweep figure RESULTS --file FILE."
        )
    for settings, stem in zip(wanted, file_stems(wanted), strict=True):
        try:
            yield _drawn(results, settings, stem, out)
        except DlnsweepError as error:
            yield error
        # A stranger's drawing may raise anything, and so may matplotlib: no reason to end the
        # command with a traceback, or to leave the other figures out.
        except Exception as error:
            failure = FigureError(
                f"{results.path}: the figure '{stem}' cannot be drawn "
                f"({type(error).__name__}: {printable(str(error))}); the results are complete: "
                "change [figure] and draw it by `dlnsweep figure RESULTS --file FILE`."
            )
            failure.__cause__ = error
            yield failure


def raise_all(failures: Sequence[DlnsweepError]) -> None:
    """Raise what kept figures from being drawn, all at once; nothing if nothing did."""
    if len(failures) == 1:
        raise failures[0]
    if failures:
        kinds = {type(failure) for failure in failures}
        kind = kinds.pop() if len(kinds) == 1 else FigureError
        raise kind("\n".join(map(str, failures))) from failures[0]


def _drawn(results: Any, settings: Any, stem: str, out: str | Path | None) -> list[Any]:
    figure = draw(results, settings)
    if not hasattr(figure, "savefig"):
        raise FigureError(
            f"What draws figures of kind '{settings.kind}' returned {type(figure).__name__}; it "
            "must return a matplotlib Figure."
        )
    if out is not None:
        return list(save(figure, Path(out) / stem, settings.formats))
    if isinstance(results.path, Path):
        return list(save(figure, results.path / "figures" / stem, settings.formats))
    return _put(results.store.files, figure, stem, settings.formats)


def figures_of(path: Path, overrides: Sequence[str] = ()) -> list[Any]:
    """Return the figures that a file asks for: a sweep file, or one with `[figure]` alone.

    What else stands in the file does not matter: the figures are judged by the results.

    Args:
        path: The file.
        overrides: Keys to replace, "figure.KEY=VALUE".

    Raises:
        SpecError: If the file has no figure, or a wrong one.
    """
    plugins.load()
    raw = sweepfile.read(path).get("figure")
    if raw is None and not overrides:
        raise SpecError(f"{path}: the file has no [figure]; add one, such as kind = 'curves'.")
    return read_figures(_overridden(raw, overrides), str(path))


def _overridden(raw: Any, overrides: Sequence[str]) -> Any:
    wrong = [each for each in overrides if not each.strip().startswith("figure.")]
    if wrong:
        raise SpecError(
            *(
                f"--set {printable(each, 80)}: only keys of the figures can be set here, such as "
                "figure.title='Mine'; the results are what they are."
                for each in wrong
            )
        )
    if not overrides:
        return raw
    found = sweepfile.apply_overrides({} if raw is None else {"figure": raw}, overrides)["figure"]
    # As in Python.
    tables = found if isinstance(found, list) else [found]
    for table in tables:
        table.setdefault("kind", default_kind())
    return found


def stored_figures(results: Results | Joined | Store, overrides: Sequence[str] = ()) -> list[Any]:
    """Return the figures that the sweep asked for when it was last run.

    Args:
        results: The results, or their store.
        overrides: Keys to replace, "figure.KEY=VALUE"; of a new figure if there is none.

    Raises:
        SpecError: If one is of a kind that is not known here.
    """
    stored = results.sweep["sweep"].get("figures", [])
    where = results.root if isinstance(results, Store) else results.path
    if any(isinstance(table, dict) and table.get("style") is not None for table in stored):
        # A folder of somebody else's must not have us read a file of its choice.
        raise SpecError(
            f"{where}: sweep.json names a style for a figure; what a style says is kept "
            "there as rc: run the sweep's file again, or draw by `dlnsweep figure RESULTS --file`."
        )
    # What it was by default is no wish: another kind has other keys.
    wished = [_without_defaults(table) for table in stored] if overrides else stored
    given = _overridden(wished or None, overrides)
    return read_figures([] if given is None else given, str(where))


def _without_defaults(table: Any) -> Any:
    settings, _ = read_table(table, "figure")
    if settings is None:
        return table
    return {"kind": settings.kind, **settings.model_dump(mode="json", exclude_defaults=True)}


def _settings_of(figures: Any) -> list[Any]:
    # One table stands for a list of it, as in a sweep file.
    given = [figures] if isinstance(figures, Mapping | Settings) else figures
    given = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if wrong := [each for each in given if not isinstance(each, Mapping | Settings)]:
        raise SpecError(
            f"figures has {show(wrong[0])}; give a list of tables with the keys of [figure], "
            "such as {'kind': 'curves', 'y': 'loss'}."
        )
    read = [each for each in given if isinstance(each, Mapping)]
    found = iter(read_figures([dict(table) for table in read], "figures") if read else [])
    return [next(found) if isinstance(each, Mapping) else each for each in given]


def read_figures(raw: Any, where: str) -> list[Any]:
    """Return the settings of what stands under `figure`: a table, or several.

    Args:
        raw: The table, or the list of tables.
        where: What the messages begin with; nothing if empty.

    Raises:
        SpecError: If there is a mistake; all of them at once.
    """
    figures, problems = [], []
    for place, table in tables_of(raw):
        settings, found = read_table(table, place)
        figures.append(settings)
        problems += found
        kind = table.get("kind") if isinstance(table, dict) else None
        if isinstance(kind, str) and kind not in FIGURES:
            problems.append(
                "What another package or script registers is known where it is imported: import "
                "it and call dlnsweep.draw_figures, or install it with an entry point."
            )
    problems += same_files(figures)
    if problems:
        raise SpecError(
            *(printable(f"{where}: {problem}" if where else problem) for problem in problems)
        )
    return figures


def draw_missing_figures(folder: str | Path | Results) -> tuple[list[Path | str], bool]:
    """Draw the figures that a sweep asked for, unless they are up to date.

    Returns:
        Their files, and whether they were drawn.

    Raises:
        FigureError: If a figure cannot be drawn; all others are, and all runs are kept.
        StoreError: If the files cannot be written.
    """
    plugins.load()
    # What draws, and what reads results, is imported only where something is to be drawn.
    store = Store.open(folder) if isinstance(folder, str | Path) else folder.store
    try:
        figures = stored_figures(store)
        there = up_to_date(store, figures)
        if there:
            return list(there), False
        paths = draw_figures(store.root if isinstance(folder, str | Path) else folder, figures)
    except SpecError as error:
        # Its exit status would say that nothing has been started.
        raise FigureError(f"{store.root}: all runs are kept. {error}") from error
    remember(store, figures, paths)
    return paths, True


def import_ahead() -> Thread:
    """Begin to import what draws, beside what this process waits for; return what ends then.

    Matplotlib and pandas take a second or more, in which worker processes compute. Nothing else may
    import them meanwhile: two threads in modules that import each other see halves of them.
    """
    thread = Thread(target=_import_what_draws, daemon=True, name="import of what draws")
    thread.start()
    return thread


def _import_what_draws() -> None:
    # What is wrong with an installation is told where it is needed.
    with contextlib.suppress(Exception):
        load_matplotlib()
        for name in _WHAT_DRAWS:
            importlib.import_module(name)


def draw_if_done(results: Results) -> None:
    """Draw a sweep's figures unless other shards are still at work: the last one draws."""
    status = results.store.status()
    if status.done == status.planned:
        draw_missing_figures(results)


def _put(files: Files, figure: Any, stem: str, formats: Sequence[str]) -> list[str]:
    """Save a figure among results in an object store."""
    try:
        place = tempfile.TemporaryDirectory(prefix="dlnsweep-")
    except FileNotFoundError:
        raise StoreError(
            f"{files.root}: a figure on its way there needs a folder for temporary files, and none "
            "can be written on this machine; set TMPDIR to one that can."
        ) from None
    with place as folder:
        saved = save(figure, Path(folder) / stem, formats)
        named = [(f"figures/{path.name}", path.read_bytes()) for path in saved]
    files.write_in_order(named)
    return [str(files.path(name)) for name, _ in named]


def with_few_digits(table: pd.DataFrame, digits: int = 4) -> pd.DataFrame:
    """Return a summary table with its statistics as texts of a few digits, to be read."""
    shown = {
        name: ["-" if value != value else f"{value:.{digits}g}" for value in table[name]]
        for name in table.columns
        if name.endswith(("_q25", "_median", "_q75"))
    }
    return table.assign(**shown)
