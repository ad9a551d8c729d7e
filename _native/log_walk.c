/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A call's arguments, walked from their beginning to the parenthesis that ends them, and its result. Strings,
 * brackets and what stands between < and > may hold anything, also what looks like the end.
 */
#include "log.h"

#define DEVICE_MAX 64                    /* of `<char 1:3>` */

/* What ends a stretch that means nothing: the rest of the walk looks at these bytes alone. */
static const uint8_t special[256] = {
    ['"'] = 1, ['('] = 1, [')'] = 1, ['['] = 1, [']'] = 1, ['{'] = 1, ['}'] = 1, ['<'] = 1, [','] = 1,
};

/* Behind the string that begins at `at`; NULL: it does not end. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; (at = memchr(at, '"', (size_t) (end - at))); at++) {
        const char *slash = at;

        while (slash[-1] == '\\')        /* ends at the first quote at the latest */
            slash--;
        if ((at - slash) % 2 == 0)
            return at + 1;
    }
    return NULL;
}

/* TYPE:[...], as of sockets: brackets within brackets, strings. */
static const char *bracketed_end(const char *at, const char *end)
{
    int depth = 0;

    for (; at && at < end; at = *at == '"' ? skip_string(at, end) : at + 1) {
        depth += *at == '[';
        depth -= *at == ']';
        if (depth == 0 && *at == ']')
            return at + 1;
    }
    return NULL;
}

/* What may stand behind a descriptor: a > before anything else belongs to a path, in which old straces leave it. */
static bool may_follow(const char *at, const char *end)
{
    return at == end || (*at && strchr(",)]} ;(=>&|", *at));
}

/* Where what begins with < at `at` ends, behind its >, and what it says: `3</dev/null<char 1:3>>` is /dev/null.
 * NULL: it does not end. */
const char *lr_note_end(const char *at, const char *end, struct lr_span *ret_text)
{
    const char *begin = ++at, *next = at, *close;

    while (next < end && (lr_is(*next, LR_NAME) || *next == '-' || *next == '.'))
        next++;
    if (next + 1 < end && next[0] == ':' && next[1] == '[') {
        at = bracketed_end(next + 1, end);
        if (!at)
            return NULL;
    }
    for (; at < end; at++) {
        if (*at == '\\') {
            at += at + 1 < end;
        } else if (*at == '<') {
            close = memchr(at, '>', (size_t) (end - at < DEVICE_MAX ? end - at : DEVICE_MAX));
            if (close && close + 1 < end && close[1] == '>') {
                *ret_text = lr_between(begin, at);
                return close + 2;
            }
        } else if (*at == '>' && may_follow(at + 1, end)) {
            *ret_text = lr_between(begin, at);
            return at + 1;
        }
    }
    return NULL;
}

/* Whether the < at `at` stands behind a descriptor or a process: 3<, AT_FDCWD<, and not in 1<<3. */
static bool begins_note(const char *begin, const char *at, const char *end)
{
    return at > begin && at + 1 < end && lr_is(at[-1], LR_NAME) && at[1] != '<' && at[1] != '=' && at[1] != ' ';
}

static void add_note(struct lr_arguments *arguments, struct lr_span text, const char *at, const char *begin, int depth)
{
    const char *first;

    if (arguments->note_count == LR_LOG_NOTES)
        return;
    first = lr_skip_back(begin, at, LR_NAME);
    arguments->note[arguments->note_count++] = (struct lr_note) {
        text, arguments->count, depth == 0 && lr_skip_back(begin, first, LR_BLANK) == begin,
    };
}

static void add_argument(struct lr_arguments *arguments, const char *begin, const char *end)
{
    if (arguments->count < LR_LOG_ARGUMENTS)
        arguments->argument[arguments->count++] = lr_trimmed(lr_between(begin, end));
}

static void add_string(struct lr_arguments *arguments, const char *first, const char *at, const char *behind)
{
    static const char name[] = "sun_path=";

    if ((size_t) (at - first) >= sizeof(name) - 1 && !memcmp(at - (sizeof(name) - 1), name, sizeof(name) - 1))
        arguments->address = lr_between(at, behind);
}

static bool equals_follows(const char *at, const char *end)
{
    const char *next = lr_skip(at, end, LR_BLANK);

    return next > at && next < end && *next == '=' && (next + 1 == end || lr_is(next[1], LR_BLANK));
}

/* `whole`: all up to `end` are arguments, and the walk goes on where a parenthesis seems to end them. */
static const char *walk(const char *at, const char *end, bool whole, struct lr_arguments *arguments)
{
    const char *begin = at, *first = at, *behind;
    struct lr_span text;
    bool notes = true;                   /* until one has no end: none has, from there on */
    int depth = 0;

    arguments->count = arguments->note_count = 0;
    arguments->address = (struct lr_span) {NULL, 0};
    for (; at < end; at++) {
        while (at < end && !special[(uint8_t) *at])
            at++;
        if (at == end)
            break;
        switch (*at) {
        case '"':
            behind = skip_string(at, end);
            if (!behind && !whole)
                return NULL;
            behind = behind ? behind : end;
            add_string(arguments, first, at, behind);
            at = behind - 1;
            break;
        case '<':
            if (!notes || !begins_note(first, at, end))
                break;
            behind = lr_note_end(at, end, &text);
            notes = behind;
            if (!notes)
                break;
            add_note(arguments, text, at, begin, depth);
            at = behind - 1;
            break;
        case ',':
            if (depth == 0) {
                add_argument(arguments, begin, at);
                begin = at + 1;
            }
            break;
        case ')':
            if (depth == 0 && !whole && equals_follows(at + 1, end)) {
                if (at > first)
                    add_argument(arguments, begin, at);
                return at;
            }
            /* fall through */
        case ']':
        case '}':
            depth -= depth > 0;
            break;
        default:
            depth++;
        }
    }
    if (!whole)
        return NULL;
    if (end > first)
        add_argument(arguments, begin, end);
    return end;
}

/* Walks the arguments that begin at `at`; returns where their closing parenthesis is, behind which an equals sign
 * stands. NULL: there is none. */
const char *lr_walk(const char *at, const char *end, struct lr_arguments *ret_arguments)
{
    return walk(at, end, false, ret_arguments);
}

/* The same where it is known what the arguments are. */
void lr_walk_within(const char *at, const char *end, struct lr_arguments *ret_arguments)
{
    walk(at, end, true, ret_arguments);
}

/* The last parenthesis with an equals sign behind it; NULL: there is none. */
const char *lr_last_equals(const char *begin, const char *end)
{
    const char *at = end;

    while (at > begin && (at = memrchr(begin, ')', (size_t) (at - begin))))
        if (equals_follows(at + 1, end))
            return at;
    return NULL;
}

/* ` <0.000012>` at the end, from -T. */
static struct lr_span take_duration(struct lr_span text, struct lr_result *result)
{
    const char *end = text.at + text.size, *open, *at, *point = NULL;

    if (!text.size || end[-1] != '>' || !(open = memrchr(text.at, '<', text.size)))
        return text;
    at = lr_skip(open + 1, end, LR_DIGIT);
    if (at == open + 1)
        return text;
    result->duration_ns = lr_decimal(lr_between(open + 1, at));
    if (*at == '.') {
        point = at + 1;
        at = lr_skip(point, end, LR_DIGIT);
    }
    if (at + 1 != end || (open > text.at && !lr_is(open[-1], LR_BLANK)) || result->duration_ns > INT32_MAX) {
        result->duration_ns = LR_LOG_NONE;
        return text;
    }
    result->duration_ns = result->duration_ns * 1000000000 + (point ? lr_fraction_ns(point, at) : 0);
    result->time = lr_between(open + 1, end - 1);
    return lr_trimmed(lr_between(text.at, open));
}

static struct lr_span error_of(struct lr_span rest)
{
    const char *at = rest.at, *end = at + rest.size, *behind;

    if (lr_begins(rest, "(errno ")) {
        behind = lr_skip(at + 7, end, LR_DIGIT);
        return behind < end && *behind == ')' ? lr_between(at + 7, behind) : lr_between(at, at);
    }
    for (behind = at; behind < end && (lr_is(*behind, LR_DIGIT) || (*behind >= 'A' && *behind <= 'Z')); behind++)
        ;
    if (behind - at < 2 || *at != 'E' || (behind < end && !lr_is(*behind, LR_BLANK)))
        behind = at;
    return lr_between(at, behind);
}

/* Reads what stands behind the equals sign. */
void lr_result_read(struct lr_span text, struct lr_result *ret_result)
{
    const char *at, *end, *behind;

    ret_result->duration_ns = ret_result->value = LR_LOG_NONE;
    ret_result->time = ret_result->note = lr_between(text.at, text.at);
    text = lr_trimmed(take_duration(lr_trimmed(text), ret_result));
    ret_result->text = text;
    at = text.at;
    end = at + text.size;
    behind = at + (at < end && *at == '-');
    if (end - behind > 2 && behind[0] == '0' && behind[1] == 'x')
        behind = lr_skip(behind + 2, end, LR_HEX);
    else
        behind = lr_skip(behind, end, LR_DIGIT);
    ret_result->number = lr_between(at, behind);
    ret_result->value = lr_number(ret_result->number);
    if (ret_result->value == LR_LOG_NONE)
        behind = at + (at < end && *at == '?');
    ret_result->number = lr_between(at, behind);
    ret_result->rest = lr_trimmed(lr_between(behind, end));
    ret_result->error = lr_between(at, at);
    if (ret_result->value < 0)           /* so is LR_LOG_NONE: a question mark */
        ret_result->error = error_of(ret_result->rest);
    else if (behind < end && *behind == '<')
        lr_note_end(behind, end, &ret_result->note);
}
