"""What the form says, in the address of the page: a reload finds it again.

It stands behind the `#`, which a browser sends to no server and which logs do not have; the token
is not in it. Who opens an address may have it from anybody, so all of it goes through `settled`,
as what a browser sends does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dlnsweep.view.forms import CONTROLS, shown

# Beside the controls: which sweeps, which switches, and the further keys.
SWEEPS, SWITCHES, MORE = "sweeps", "switches", "more"
_LONGEST, _MOST = 20_000, 1000


def address_of(
    form: Mapping[str, Any], sweeps: Sequence[str], switches: Sequence[str], more: str
) -> str:
    """Return what stands behind the `#`.

    Args:
        form: The controls' values.
        sweeps: The labels of the sweeps that are chosen.
        switches: Those that are on.
        more: Further keys, as TOML.
    """
    pairs: list[tuple[str, str]] = []
    for control in CONTROLS:
        if shown(control, form):
            value = form.get(control.name)
            values = value if isinstance(value, list) else [] if value is None else [value]
            pairs += [(control.name, str(each)) for each in values]
    pairs += [(SWEEPS, each) for each in sweeps]
    pairs += [(SWITCHES, each) for each in switches]
    if more.strip():
        pairs.append((MORE, more))
    written = urlencode(pairs)
    return written if len(written) <= _LONGEST else ""


def read_address(written: Any) -> dict[str, list[str]] | None:
    """Return what an address says, every key with its values; None if it says no form."""
    if not isinstance(written, str) or len(written) > _LONGEST:
        return None
    try:
        pairs = parse_qsl(written.removeprefix("#"), max_num_fields=_MOST)
    except ValueError:
        return None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found if "kind" in found else None


def form_in(said: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the controls' values that an address says; none where it does not."""
    return {
        control.name: said.get(control.name, [])
        if control.several
        else next(iter(said.get(control.name, [])), None)
        for control in CONTROLS
    }
