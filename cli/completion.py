"""Completion scripts for shells, made of the option tables: `eval "$(lowrun --completion bash)"`.

Options are completed until COMMAND or PROGRAM; from there on the shell completes that as if lowrun were not there. The
verbs about programs that were started complete their names, which are the directories of the state directory; those
that read what was recorded complete files, and options anywhere; analyze its queries behind the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lowrun import analysis
from lowrun.cli.analyze_options import ANALYZE_OPTIONS
from lowrun.cli.control_options import VERBS
from lowrun.cli.options import RUN_OPTIONS
from lowrun.cli.parser import GROUPS, USERS, Option
from lowrun.cli.show_options import SHOW_OPTIONS
from lowrun.cli.start_options import START_OPTIONS
from lowrun.cli.strace2csv_options import STRACE2CSV_OPTIONS
from lowrun.cli.trace_options import TRACE_OPTIONS

__all__ = ["script"]

#: Verbs that a COMMAND follows, and those that names follow.
COMMANDS: dict[str, Sequence[Option]] = {"run": RUN_OPTIONS, "trace": TRACE_OPTIONS, "start": START_OPTIONS}
CONTROL = {verb: row.table for verb, row in VERBS.items()}
#: Verbs that files follow.
READING: dict[str, Sequence[Option]] = {
    "strace2csv": STRACE2CSV_OPTIONS,
    "analyze": ANALYZE_OPTIONS,
    "show": SHOW_OPTIONS,
}
#: What may stand behind the file of analyze; in its place, diff.
QUERIES = " ".join((*analysis.QUERIES, "sql", "export"))
EVERY_VERB = " ".join((*COMMANDS, *CONTROL, *READING))

#: What a shell itself knows, by Option.offers.
Known = dict[tuple[str, ...], str]
BASH_ACCOUNTS: Known = {(USERS,): "-u", (GROUPS,): "-g"}
ZSH_KNOWN: Known = {(): "_files", (USERS,): "_users", (GROUPS,): "_groups"}
FISH_ACCOUNTS: Known = {(USERS,): "(__fish_complete_users)", (GROUPS,): "(__fish_complete_groups)"}

#: Prints the names; in any shell.
NAMES = (
    'sh -c \'d=$LOWRUN_STATE_DIR; [ -n "$d" ] || [ "$(id -u)" != 0 ] || d=/run/lowrun; '
    'd=${d:-${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/lowrun}}; for n in "${d:-/tmp/lowrun-$(id -u)}"/*/; do '
    '[ ! -d "$n" ] || basename "$n"; done\' 2>/dev/null'
)

BASH = """\
_lowrun() {{
    local i=1 verb= name= option= first= plain=0 names="{names}" valued=" {valued} "
    while [ $i -lt $COMP_CWORD ]; do
        case "$verb:${{COMP_WORDS[i]}}" in
{verbs}
            *:--) i=$((i + 1)); break ;;
            *:-*)
                option="${{COMP_WORDS[i]}}"
                case "${{COMP_WORDS[i + 1]}} $valued" in
                    "= "*) i=$((i + 3)) ;;
                    *" $option "*) i=$((i + 2)) ;;
                    *) i=$((i + 1)) ;;
                esac ;;
            *:=) option=; i=$((i + 2)) ;;
            control:* | files:*)
                [ $plain != 0 ] || first="${{COMP_WORDS[i]}}"
                plain=$((plain + 1)); i=$((i + 1)) ;;
            *) break ;;
        esac
    done
    local current="${{COMP_WORDS[COMP_CWORD]}}"
    if [ $i -gt $COMP_CWORD ]; then
        [ "$current" != = ] || current=
        case "$name:$option" in
{offers}
            *) COMPREPLY=($(compgen -f -- "$current")) ;;
        esac
        [[ "${{COMPREPLY[0]}}" != *= ]] || compopt -o nospace 2>/dev/null
    elif [ $i -eq $COMP_CWORD ] && [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$names" -- "$current"))
    elif [ "$verb" = control ]; then
        COMPREPLY=($(compgen -W "$({list})" -- "$current"))
    elif [ "$name:$plain" = analyze:1 ] && [ "$first" != diff ]; then
        COMPREPLY=($(compgen -W "{queries}" -- "$current"))
    elif [ "$verb" = files ]; then
        COMPREPLY=($(compgen -f -- "$current"))
        [ "$name:$plain" != analyze:0 ] || COMPREPLY+=($(compgen -W diff -- "$current"))
    elif declare -F _command_offset >/dev/null; then
        _command_offset $i
    elif [ $i -eq $COMP_CWORD ]; then
        COMPREPLY=($(compgen -c -- "$current"))
        [ -n "$verb" ] || COMPREPLY+=($(compgen -W "{every}" -- "$current"))
    else
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}}
complete -o filenames -F _lowrun lowrun
"""
BASH_VERB = """\
            :{verb}) verb={kind}; name={verb}; names="{names}"; valued=" {valued} "; i=$((i + 1)) ;;"""
BASH_OFFER = """\
            {verb}:{names}) COMPREPLY=($(compgen {offer} -- "$current")) ;;"""

ZSH = """\
#compdef lowrun
_lowrun_names() {{ compadd -- ${{(f)"$({list})"}} }}
_lowrun_logs() {{ compadd -- diff; _files }}
_lowrun_queries() {{ if [[ $line[1] = diff ]]; then _files; else compadd -- {queries}; fi }}
_lowrun_commands() {{ _command_names -e; compadd -- {every} }}
case $words[2] in
{verbs}
*)
    _arguments -S \\
{run}
      '(-)1:command:_lowrun_commands' '*::argument:_normal' ;;
esac
"""
ZSH_VERB = """\
{verb})
    shift words; (( CURRENT-- ))
    _arguments -S \\
{lines}
      {rest} ;;"""


def script(shell: str) -> str:
    """Return the script for "bash", "zsh" or "fish"."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _names(table: Sequence[Option], valued: bool = False) -> str:
    chosen = (option for option in table if not valued or (option.value and option.bare is None))
    return " ".join(name for option in chosen for name in option.names)


def _bash() -> str:
    verbs = [
        BASH_VERB.format(verb=verb, kind=kind, names=_names(table), valued=_names(table, valued=True))
        for kind, tables in (("command", COMMANDS), ("control", CONTROL), ("files", READING))
        for verb, table in tables.items()
    ]
    return BASH.format(
        names=_names(RUN_OPTIONS),
        valued=_names(RUN_OPTIONS, valued=True),
        verbs="\n".join(verbs),
        offers="\n".join(_bash_offers()),
        list=NAMES,
        every=EVERY_VERB,
        queries=QUERIES,
    )


def _bash_offers() -> Iterator[str]:
    for verb, table in (*COMMANDS.items(), *CONTROL.items(), *READING.items()):
        for option in table:
            if option.offers:
                offer = BASH_ACCOUNTS.get(option.offers) or f'-W "{" ".join(option.offers)}"'
                yield BASH_OFFER.format(verb=verb, names=f"|{verb}:".join(option.names), offer=offer)


def _zsh() -> str:
    queries = "'1:file:_lowrun_logs' '2:query:_lowrun_queries' '*:file:_files'"
    command, names = "'(-)1:command:_command_names -e' '*::argument:_normal'", "'*:name:_lowrun_names'"
    verbs = [
        ZSH_VERB.format(verb=verb, lines=_zsh_lines(table), rest=queries if verb == "analyze" else rest)
        for tables, rest in ((COMMANDS, command), (CONTROL, names), (READING, "'*:file:_files'"))
        for verb, table in tables.items()
    ]
    return ZSH.format(
        list=NAMES, every=EVERY_VERB, queries=QUERIES, verbs="\n".join(verbs), run=_zsh_lines(RUN_OPTIONS)
    )


def _zsh_lines(table: Sequence[Option]) -> str:
    lines = []
    for option in table:
        text = option.text.replace("'", "'\\''").replace(":", "\\:").replace("[", "\\[").replace("]", "\\]")
        value = option.value.strip("[=]").replace(":", "\\:")
        offer = ZSH_KNOWN.get(option.offers, f"({' '.join(option.offers)})")
        if option.offers and option.bare is not None:
            lines += [f"      '*{name}=-[{text}]::{value}:{offer}' \\" for name in option.names]
            continue
        tail = f":{value}:{offer}" if option.value and option.bare is None else ""
        lines += [f"      '*{name}[{text}]{tail}' \\" for name in option.names]
    return "\n".join(lines)


def _fish() -> str:
    lines = [
        f"complete -c lowrun -n 'not __fish_seen_subcommand_from {' '.join(CONTROL)}' "
        "-x -a '(__fish_complete_subcommand)'",
        f"complete -c lowrun -n 'not __fish_seen_subcommand_from {EVERY_VERB}' -x -a '{EVERY_VERB}'",
    ]
    lines += _fish_lines(RUN_OPTIONS, f"not __fish_seen_subcommand_from {EVERY_VERB}")
    for verb, table in (*COMMANDS.items(), *CONTROL.items(), *READING.items()):
        lines += _fish_lines(table, f"__fish_seen_subcommand_from {verb}")
    quoted = NAMES.replace("\\", "\\\\").replace("'", "\\'")
    lines.append(f"complete -c lowrun -n '__fish_seen_subcommand_from {' '.join(CONTROL)}' -x -a '({quoted})'")
    lines.append(f"complete -c lowrun -n '__fish_seen_subcommand_from analyze' -a 'diff {QUERIES}'")
    return "\n".join(lines) + "\n"


def _fish_lines(table: Sequence[Option], when: str) -> list[str]:
    lines = []
    for option in table:
        text = option.text.replace("'", "\\'")
        names = " ".join(_fish_name(name) for name in option.names)
        needs = " -r" if option.value and option.bare is None else ""
        if option.offers:
            offer = FISH_ACCOUNTS.get(option.offers)
            needs += f" -f -a '{offer or ' '.join(option.offers)}'"
        lines.append(f"complete -c lowrun -n '{when}' {names} -d '{text}'{needs}")
    return lines


def _fish_name(name: str) -> str:
    if name.startswith("--"):
        return f"-l {name[2:]}"
    return f"-s {name[1:]}" if len(name) == 2 else f"-o {name[1:]}"
