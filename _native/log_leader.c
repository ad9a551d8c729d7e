/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What stands before a call in a line of strace's:
 *
 *     1234  |1234<comm> |[pid  1234] |[pid 1234<comm>] |          whose line it is (-f; --decode-pids=comm)
 *     12:34:56 |12:34:56.123456 |1700000000.123456 |     0.000123  the time (-t, -tt, -ttt, -r)
 *     (+     0.000123)                                             and since the last line (-r with -t)
 *     [00007f1234567890] |[  59]                                   where, and the call's number (-i, -n)
 */
#include "log.h"

#define PID_MAX (1 << 22)                /* of the kernel: a larger number is a time, if none follows */
#define LEAST_EPOCH 100000000            /* seconds: a smaller number is the time since the last line */

/* Behind `<comm>`, which a blank or ] follows; `at` if there is none. */
static const char *skip_comm(const char *at, const char *end)
{
    const char *close = at < end && *at == '<' ? memchr(at, '>', (size_t) (end - at)) : NULL;

    while (close && close + 1 < end && close[1] != ' ' && close[1] != ']')
        close = memchr(close + 1, '>', (size_t) (end - close - 1));
    return close ? close + 1 : at;
}

/* Whether what comes next can be a time: a call's name begins with no digit. */
static bool digit_follows(const char *at, const char *end)
{
    at = lr_skip(at, end, LR_BLANK);
    return at < end && lr_is(*at, LR_DIGIT);
}

static const char *take_tid(struct lr_line *line, const char *at, const char *end)
{
    bool bracket = lr_begins(lr_between(at, end), "[pid ");
    const char *digits = bracket ? lr_skip(at + 5, end, LR_BLANK) : at;
    const char *behind = lr_skip(digits, end, LR_DIGIT), *next;
    int64_t tid = lr_decimal(lr_between(digits, behind));

    if (behind == digits)
        return at;
    next = skip_comm(behind, end);
    if (bracket ? next == end || *next++ != ']' : next < end && !lr_is(*next, LR_BLANK))
        return at;
    if (!bracket && next == behind && tid > PID_MAX && !digit_follows(next, end))
        return at;
    line->named = true;
    line->tid = tid;
    return lr_skip(next, end, LR_BLANK);
}

static bool two_digits(const char *at, int limit, int64_t *ret_value)
{
    *ret_value = (at[0] - '0') * 10 + (at[1] - '0');
    return lr_is(at[0], LR_DIGIT) && lr_is(at[1], LR_DIGIT) && *ret_value < limit;
}

/* The time at `at`, that a blank follows or the line's end; returns what is behind it. */
static const char *take_time(struct lr_line *line, const char *at, const char *end)
{
    const char *behind, *point = NULL;
    int64_t hours, minutes, seconds;

    if (end - at >= 8 && at[2] == ':' && at[5] == ':' && two_digits(at, 24, &hours) &&
        two_digits(at + 3, 60, &minutes) && two_digits(at + 6, 61, &seconds)) {
        seconds += (hours * 60 + minutes) * 60;
        line->clock = LR_CLOCK_DAY;
        behind = at + 8;
    } else {
        behind = lr_skip(at, end, LR_DIGIT);
        if (behind == at)
            return at;
        seconds = lr_decimal(lr_between(at, behind));
        line->clock = seconds >= LEAST_EPOCH ? LR_CLOCK_EPOCH : LR_CLOCK_DELTA;
    }
    if (behind < end && *behind == '.') {
        point = behind;
        behind = lr_skip(behind + 1, end, LR_DIGIT);
    }
    if ((behind < end && *behind != ' ') || (!point && line->clock == LR_CLOCK_DELTA) || seconds > INT32_MAX) {
        line->clock = LR_CLOCK_NONE;
        return at;
    }
    line->time = lr_between(at, behind);
    line->time_ns = seconds * 1000000000 + (point ? lr_fraction_ns(point + 1, behind) : 0);
    return lr_skip(behind, end, LR_BLANK);
}

/* Behind what -r adds to -t, -i and -n. */
static const char *skip_more(const char *at, const char *end)
{
    const char *close;

    if (end - at > 2 && at[0] == '(' && at[1] == '+' && (close = memchr(at, ')', (size_t) (end - at))))
        at = lr_skip(close + 1, end, LR_BLANK);
    while (at < end && *at == '[') {
        close = lr_skip(lr_skip(at + 1, end, LR_BLANK), end, LR_HEX);
        if (lr_begins(lr_between(at + 1, end), "????"))
            close = lr_skip(at + 1, end, LR_NAME);
        if (close == at + 1 || close == end || *close != ']')
            break;
        at = lr_skip(close + 1, end, LR_BLANK);
    }
    return at;
}

/* Finds in `line`, of which `all` is given, whose it is, its time, and the rest. */
void lr_line_lead(struct lr_line *line)
{
    const char *at = line->all.at, *end = at + line->all.size;

    line->named = false;
    line->tid = 0;
    line->clock = LR_CLOCK_NONE;
    line->time_ns = LR_LOG_NONE;
    line->time = lr_between(at, at);
    at = take_tid(line, lr_skip(at, end, LR_BLANK), end);
    at = take_time(line, at, end);
    line->rest = lr_between(skip_more(at, end), end);
}
