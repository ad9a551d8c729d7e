/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the lines of a log look like, behind thread and time. Nothing is remembered from line to line here.
 *
 *     NAME(ARGUMENTS) = RESULT <SECONDS>        NAME(ARGUMENTS <unfinished ...>
 *     <... NAME resumed>ARGUMENTS) = RESULT     NAME(ARGUMENTS <detached ...>, or <pid changed to 42 ...>
 *     --- SIGNAL {...} ---                      +++ exited with 3 +++
 */
#include "log.h"

/* NAME( at the beginning; returns where its parenthesis is, else NULL. A call that strace cannot tell is ????. */
const char *lr_call_begin(struct lr_span text)
{
    const char *end = text.at + text.size, *at = lr_skip(text.at, end, LR_NAME);

    return at > text.at && at < end && *at == '(' ? at : NULL;
}

/* ` <unfinished ...>` at the end; `ret_text` is what stands before it. */
bool lr_unfinished(struct lr_span rest, struct lr_span *ret_text)
{
    static const char word[] = "<unfinished";
    const char *at;

    if (!lr_ends(rest, "...>"))
        return false;
    at = lr_skip_back(rest.at, rest.at + rest.size - 4, LR_BLANK);
    if (at == rest.at + rest.size - 4 || at - rest.at <= (ptrdiff_t) sizeof(word) - 1)
        return false;
    at -= sizeof(word) - 1;
    if (memcmp(at, word, sizeof(word) - 1) || !lr_is(at[-1], LR_BLANK))
        return false;
    *ret_text = lr_between(rest.at, at - 1);
    return true;
}

/* ` <WORD ... ...>` at the end, of strace's when it lets go of a thread, or the thread's number changes. */
static bool ends_with_word(struct lr_span rest, const char *word, struct lr_span *ret_text)
{
    const char *at;

    if (!lr_ends(rest, " ...>") || !(at = memrchr(rest.at, '<', rest.size)) || at == rest.at || at[-1] != ' ' ||
        !lr_begins(lr_between(at, rest.at + rest.size), word))
        return false;
    *ret_text = lr_between(rest.at, at - 1);
    return true;
}

/* The same of a thread that strace lets go of. */
bool lr_detached(struct lr_span rest, struct lr_span *ret_text)
{
    return ends_with_word(rest, "<detached ...>", ret_text);
}

/* The same of a thread that is called by another number from now on: that of the process, whose program it executes. */
bool lr_pid_changes(struct lr_span rest, struct lr_span *ret_text)
{
    return ends_with_word(rest, "<pid changed to ", ret_text);
}

/* <... NAME resumed> at the beginning; `ret_text` is what follows. */
bool lr_resumed(struct lr_span rest, struct lr_span *ret_name, struct lr_span *ret_text)
{
    const char *end = rest.at + rest.size, *name, *behind, *word;

    if (!lr_begins(rest, "<..."))
        return false;
    name = lr_skip(rest.at + 4, end, LR_BLANK);
    behind = lr_skip(name, end, LR_NAME);
    word = lr_skip(behind, end, LR_BLANK);
    if (name == rest.at + 4 || behind == name || word == behind || !lr_begins(lr_between(word, end), "resumed>"))
        return false;
    *ret_name = lr_between(name, behind);
    *ret_text = lr_between(word + strlen("resumed>"), end);
    return true;
}

/* What stands between `sign` at the beginning and at the end: +++ or ---. */
bool lr_framed(struct lr_span rest, const char *sign, struct lr_span *ret_text)
{
    if (rest.size < 8 || !lr_begins(rest, sign) || !lr_ends(rest, sign) || rest.at[3] != ' ' ||
        rest.at[rest.size - 4] != ' ')
        return false;
    *ret_text = lr_trimmed((struct lr_span) {rest.at + 4, rest.size - 8});
    return true;
}

bool lr_after_word(struct lr_span text, const char *word, struct lr_span *ret_text)
{
    if (!lr_begins(text, word))
        return false;
    *ret_text = lr_between(text.at + strlen(word), text.at + text.size);
    return true;
}

/* Whether a thread ends with `rest`. */
bool lr_ended(struct lr_span rest)
{
    struct lr_span text;

    return lr_framed(rest, "+++", &text) && (lr_begins(text, "exited with ") || lr_begins(text, "killed by "));
}

/* The thread whose execve made it this line's; LR_LOG_NONE: the line says nothing of that. */
int64_t lr_superseded(struct lr_span rest)
{
    struct lr_span text, number;

    if (!lr_framed(rest, "+++", &text) || !lr_after_word(text, "superseded by execve in pid ", &number))
        return LR_LOG_NONE;
    number = lr_between(number.at, lr_skip(number.at, number.at + number.size, LR_DIGIT));
    return number.size ? lr_decimal(number) : LR_LOG_NONE;
}

/* Words of strace's own, and of -k a frame of the stack. */
bool lr_is_notice(const struct lr_line *line)
{
    struct lr_span text = line->rest, number;

    return lr_begins(text, "strace: ") || lr_begins(text, "[ Process PID=") || lr_begins(line->all, " > ") ||
           (lr_after_word(text, "Process ", &number) && number.size && lr_is(number.at[0], LR_DIGIT));
}

/* Takes the call `text`, NAME(ARGUMENTS) = RESULT, apart; false: it is none. */
bool lr_take_call(struct lr_span text, struct lr_arguments *ret_arguments, struct lr_span *ret_text,
                  struct lr_result *ret_result)
{
    const char *end = text.at + text.size, *open = lr_call_begin(text), *close, *equals;

    if (!open)
        return false;
    close = lr_walk(open + 1, end, ret_arguments);
    if (!close) {
        close = lr_last_equals(open + 1, end);
        if (!close)
            return false;
        lr_walk_within(open + 1, close, ret_arguments);
    }
    equals = lr_skip(close + 1, end, LR_BLANK);
    *ret_text = lr_trimmed(lr_between(open + 1, close));
    lr_result_read(lr_between(equals + 1, end), ret_result);
    return true;
}

/* Without what strace says of arguments that it never learnt. */
struct lr_span lr_known_arguments(struct lr_span text)
{
    static const char *const words[] = {"<unfinished ...>", "<unavailable>"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (lr_ends(text, words[i])) {
            text = lr_trimmed(lr_between(text.at, text.at + text.size - strlen(words[i])));
            if (lr_ends(text, ","))
                text.size--;
        }
    return text;
}

/* Whether any rule knows the line, when there is nothing to be done about it; `scratch` is overwritten. */
bool lr_understood(const struct lr_line *line, bool cut, struct lr_arguments *scratch)
{
    struct lr_result result;
    struct lr_span name, text, arguments;

    if (lr_is_notice(line) || lr_framed(line->rest, "---", &text) || lr_framed(line->rest, "+++", &text) ||
        lr_unfinished(line->rest, &text) || lr_detached(line->rest, &text) ||
        lr_pid_changes(line->rest, &text))
        return true;
    if (lr_resumed(line->rest, &name, &text))
        return cut || lr_last_equals(text.at, text.at + text.size);
    return cut || lr_take_call(line->rest, scratch, &arguments, &result);
}
