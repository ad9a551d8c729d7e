"""Completion scripts for shells, made of the option table: `eval "$(lowrun --completion bash)"`.

Options are completed until COMMAND; from there on the shell completes COMMAND
as if lowrun were not there.
"""

from __future__ import annotations

from lowrun.cli.options import RUN_OPTIONS

__all__ = ["script"]

BASH = """\
_lowrun() {{
    local i=1
    while [ $i -lt $COMP_CWORD ]; do
        case "${{COMP_WORDS[i]}}" in
            {valued}) i=$((i + 2)) ;;
            --|run) i=$((i + 1)) ;;
            -*) i=$((i + 1)) ;;
            *) break ;;
        esac
    done
    local current="${{COMP_WORDS[COMP_CWORD]}}"
    if [ $i -gt $COMP_CWORD ]; then
        COMPREPLY=($(compgen -f -- "$current"))
    elif [ $i -eq $COMP_CWORD ] && [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "{names}" -- "$current"))
    elif declare -F _command_offset >/dev/null; then
        _command_offset $i
    elif [ $i -eq $COMP_CWORD ]; then
        COMPREPLY=($(compgen -c -- "$current"))
    else
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}}
complete -o filenames -F _lowrun lowrun
"""


def script(shell: str) -> str:
    """Return the script for "bash", "zsh" or "fish"."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _bash() -> str:
    built = [option for option in RUN_OPTIONS if option.built]
    return BASH.format(
        names=" ".join(name for option in built for name in option.names),
        valued="|".join(name for option in built if option.value for name in option.names),
    )


def _zsh() -> str:
    lines = ["#compdef lowrun", "_arguments -S \\"]
    for option in RUN_OPTIONS:
        if option.built:
            text = option.text.replace("'", "'\\''").replace(":", "\\:")
            tail = f":{option.value}:_files" if option.value else ""
            lines += [f"  '*{name}[{text}]{tail}' \\" for name in option.names]
    return "\n".join([*lines, "  '(-)1:command:_command_names -e' \\", "  '*::argument:_normal'\n"])


def _fish() -> str:
    lines = ["complete -c lowrun -x -a '(__fish_complete_subcommand)'"]
    for option in RUN_OPTIONS:
        if option.built:
            text = option.text.replace("'", "\\'")
            names = " ".join(_fish_name(name) for name in option.names)
            lines.append(f"complete -c lowrun {names} -d '{text}'" + (" -r" if option.value else ""))
    return "\n".join(lines) + "\n"


def _fish_name(name: str) -> str:
    if name.startswith("--"):
        return f"-l {name[2:]}"
    return f"-s {name[1:]}" if len(name) == 2 else f"-o {name[1:]}"
