"""Completion scripts for shells, made of the option tables: `eval "$(lowrun --completion bash)"`.

Options are completed until COMMAND; from there on the shell completes COMMAND
as if lowrun were not there.
"""

from __future__ import annotations

from collections.abc import Sequence

from lowrun.cli.options import RUN_OPTIONS
from lowrun.cli.parser import Option
from lowrun.cli.trace_options import TRACE_OPTIONS

__all__ = ["script"]

BASH = """\
_lowrun() {{
    local i=1 names="{names}" valued=" {valued} "
    while [ $i -lt $COMP_CWORD ]; do
        case "${{COMP_WORDS[i]}}" in
            trace) names="{trace_names}"; valued=" {trace_valued} "; i=$((i + 1)) ;;
            --|run) i=$((i + 1)) ;;
            -*) case "$valued" in *" ${{COMP_WORDS[i]}} "*) i=$((i + 2)) ;; *) i=$((i + 1)) ;; esac ;;
            *) break ;;
        esac
    done
    local current="${{COMP_WORDS[COMP_CWORD]}}"
    if [ $i -gt $COMP_CWORD ]; then
        COMPREPLY=($(compgen -f -- "$current"))
    elif [ $i -eq $COMP_CWORD ] && [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$names" -- "$current"))
    elif declare -F _command_offset >/dev/null; then
        _command_offset $i
    elif [ $i -eq $COMP_CWORD ]; then
        COMPREPLY=($(compgen -c -- "$current"; compgen -W "run trace" -- "$current"))
    else
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}}
complete -o filenames -F _lowrun lowrun
"""
ZSH = """\
#compdef lowrun
if [[ $words[2] == trace ]]; then
    shift words; (( CURRENT-- ))
    _arguments -S \\
{trace}
      '(-)1:command:_command_names -e' '*::argument:_normal'
else
    _arguments -S \\
{run}
      '(-)1:command:_command_names -e' '*::argument:_normal'
fi
"""


def script(shell: str) -> str:
    """Return the script for "bash", "zsh" or "fish"."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _names(table: Sequence[Option], valued: bool = False) -> str:
    return " ".join(name for option in table if option.value or not valued for name in option.names)


def _bash() -> str:
    return BASH.format(
        names=_names(RUN_OPTIONS),
        valued=_names(RUN_OPTIONS, valued=True),
        trace_names=_names(TRACE_OPTIONS),
        trace_valued=_names(TRACE_OPTIONS, valued=True),
    )


def _zsh() -> str:
    return ZSH.format(run=_zsh_lines(RUN_OPTIONS), trace=_zsh_lines(TRACE_OPTIONS))


def _zsh_lines(table: Sequence[Option]) -> str:
    lines = []
    for option in table:
        text = option.text.replace("'", "'\\''").replace(":", "\\:").replace("[", "\\[").replace("]", "\\]")
        tail = f":{option.value}:_files" if option.value else ""
        lines += [f"      '*{name}[{text}]{tail}' \\" for name in option.names]
    return "\n".join(lines)


def _fish() -> str:
    lines = ["complete -c lowrun -x -a '(__fish_complete_subcommand)'", "complete -c lowrun -x -a 'run trace'"]
    for table, when in (
        (RUN_OPTIONS, "not __fish_seen_subcommand_from trace"),
        (TRACE_OPTIONS, "__fish_seen_subcommand_from trace"),
    ):
        for option in table:
            text = option.text.replace("'", "\\'")
            names = " ".join(_fish_name(name) for name in option.names)
            lines.append(f"complete -c lowrun -n '{when}' {names} -d '{text}'" + (" -r" if option.value else ""))
    return "\n".join(lines) + "\n"


def _fish_name(name: str) -> str:
    if name.startswith("--"):
        return f"-l {name[2:]}"
    return f"-s {name[1:]}" if len(name) == 2 else f"-o {name[1:]}"
