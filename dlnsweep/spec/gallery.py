"""The gallery: sweep files that ship with the package, known by name as `gallery:NAME`."""

from __future__ import annotations

from pathlib import Path

from dlnsweep.errors import SpecError
from dlnsweep.settings.sentences import nearest_key, printable, show

PREFIX = "gallery:"

_PACKAGE = Path(__file__).parents[1]


def folder() -> Path:
    """Return the folder with the files: inside an installed package, at the top of a checkout."""
    installed = _PACKAGE / "gallery"
    if installed.is_dir():
        return installed
    # Only beside a project file: next to an installed package anything may be called so.
    checkout = _PACKAGE.parent
    return checkout / "sweeps" if (checkout / "pyproject.toml").is_file() else installed


def names() -> list[str]:
    """Return the names of all sweeps of the gallery, sorted."""
    try:
        return sorted(path.stem for path in folder().iterdir() if path.suffix == ".toml")
    except OSError:
        return []


def is_name(path: Path) -> bool:
    """Tell whether what stands for a sweep file names one of the gallery."""
    return str(path).startswith(PREFIX)


def find(name: str) -> Path:
    """Return the file of a sweep of the gallery.

    Args:
        name: Its name, with or without `gallery:` before it and `.toml` behind.

    Raises:
        SpecError: If there is none of this name; it says which one may have been meant.
    """
    known = names()
    wanted = name.removeprefix(PREFIX).removesuffix(".toml")
    if wanted in known:
        return folder() / f"{wanted}.toml"
    if not known:
        raise SpecError(
            f"{printable(name)}: this installation of dlnsweep has no gallery ({folder()} is "
            "missing or cannot be read); install it anew."
        )
    near = nearest_key(wanted, known)
    meant = f"did you mean '{near}'?" if near else "`dlnsweep gallery` lists them."
    raise SpecError(f"{show(wanted)} is no sweep of the gallery; {meant}")
