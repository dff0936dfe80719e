"""`dlnsweep completion`: what a shell needs to complete command lines of ours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

# What the scripts below call; it is no command, so that no help shows it.
ASKED = "_complete"

# A word that ends with "=", "/" or ":" goes on, so no space comes behind it.
_BASH = """\
_dlnsweep() {
  local IFS=$'\\n'
  COMPREPLY=($(dlnsweep _complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
  case "${COMPREPLY[0]-}" in
    *[=/:]) type compopt >/dev/null 2>&1 && compopt -o nospace ;;
  esac
}
complete -F _dlnsweep dlnsweep
"""
_ZSH = """\
#compdef dlnsweep
_dlnsweep() {
  local -a found open whole
  found=("${(@f)$(dlnsweep _complete zsh "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
  open=(${(M)found:#*[=/:]})
  whole=(${found:#*[=/:]})
  (( $#open )) && compadd -S '' -- $open
  (( $#whole )) && compadd -- $whole
}
if [[ "${funcstack[1]-}" == _dlnsweep ]]; then _dlnsweep "$@"; else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
  compdef _dlnsweep dlnsweep
fi
"""
_FISH = """\
function __dlnsweep_complete
  set -l before (commandline -opc)
  set -l word (commandline -ct)
  dlnsweep _complete fish $before[2..-1] "$word" 2>/dev/null
end
complete -c dlnsweep -f -a '(__dlnsweep_complete)'
"""


class Shell(StrEnum):
    """The shells that there is a script for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell that the script is for.")],
) -> None:
    """Print what makes a shell complete commands, settings, folders and names at TAB.

    bash: eval "$(dlnsweep completion bash)" in ~/.bashrc.
    zsh: eval "$(dlnsweep completion zsh)" in ~/.zshrc.
    fish: dlnsweep completion fish > ~/.config/fish/completions/dlnsweep.fish
    """
    print({Shell.bash: _BASH, Shell.zsh: _ZSH, Shell.fish: _FISH}[shell], end="")


def complete(words: Sequence[str], app: typer.Typer) -> None:
    """Print the answer to a TAB, one candidate a line; whatever goes wrong, none is an answer."""
    from dlnsweep.cli.completing import answer

    try:
        group: Any = typer.main.get_command(app)
        found = answer(words[0], words[1:], group.commands)
    except Exception:
        # In the middle of a line that is being typed nothing else may be said.
        found = []
    sys.stdout.write("".join(f"{each}\n" for each in found))
