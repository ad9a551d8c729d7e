/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lines as bmwcarit/stracepy's strace2csv reads them. It knows three kinds, after a thread and a time,
 *
 *     unfinished   NAME(ARGUMENTS <unfinished ...>
 *     resumed      <... NAME resumed>ARGUMENTS) = NUMBER REST<SECONDS>, or ...) = ?
 *     complete     NAME(ARGUMENTS) = NUMBER REST<SECONDS>
 *
 * of which ARGUMENTS and REST are as long as can be, in this order. Where it would stop (no thread or time, a call
 * begun twice or resumed without a beginning, an unknown parent) this goes on: such a line counts as not understood,
 * or has no executable.
 */
#include "log.h"

struct parts {
    struct lr_span stamp, pid, rest, name, arguments, number, text, seconds;
};

/* ^(\d+)\s+([^ ]+)\s+(.*)$ : blanks that are no spaces may be of the time, if nothing else can. */
static bool take_leader(struct lr_span all, struct parts *parts)
{
    const char *end = all.at + all.size, *blank = lr_skip(all.at, end, LR_DIGIT);
    const char *most = lr_skip(blank, end, LR_BLANK);

    if (blank == all.at)
        return false;
    parts->pid = lr_between(all.at, blank);
    for (const char *begin = most; begin > blank; begin--) {
        const char *stop = begin;

        while (stop < end && *stop != ' ')
            stop++;
        for (; stop > begin; stop--)
            if (stop < end && lr_is(*stop, LR_BLANK)) {
                parts->stamp = lr_between(begin, stop);
                parts->rest = lr_between(lr_skip(stop, end, LR_BLANK), end);
                return true;
            }
    }
    return false;
}

/* \)\s+=\s+NUMBER, of which the parenthesis is at `at`; returns the number, at NULL: it is not there. `marks`: a
 * number may have question marks in it, else it may be one. */
static struct lr_span number_behind(const char *at, const char *end, bool marks)
{
    const char *equals = lr_skip(at + 1, end, LR_BLANK), *begin, *digits, *behind;
    const struct lr_span none = {NULL, 0};

    if (equals == at + 1 || equals == end || *equals != '=')
        return none;
    begin = lr_skip(equals + 1, end, LR_BLANK);
    if (begin == equals + 1 || begin == end)
        return none;
    if (!marks && *begin == '?')
        return lr_between(begin, begin + 1);
    digits = begin + (*begin == '-');
    for (behind = digits; behind < end && (lr_is(*behind, LR_DIGIT) || (marks && *behind == '?')); behind++)
        ;
    return behind > digits ? lr_between(begin, behind) : none;
}

/* (.*)\)\s+=\s+(NUMBER)(.*)<(\d[^>]+)>$ */
static bool take_result(struct lr_span text, bool marks, struct parts *parts)
{
    const char *begin = text.at, *end = begin + text.size, *former, *open, *close;

    if (text.size < 4 || end[-1] != '>')
        return false;
    former = memrchr(begin, '>', text.size - 1);
    former = former ? former + 1 : begin;
    for (open = end - 1; ; ) {
        open = memrchr(former, '<', (size_t) (open - former));
        if (!open)
            return false;
        if (lr_is(open[1], LR_DIGIT) && open + 3 < end)
            break;
    }
    for (close = open; (close = memrchr(begin, ')', (size_t) (close - begin))); ) {
        parts->number = number_behind(close, open, marks);
        if (!parts->number.at)
            continue;
        parts->arguments = lr_between(begin, close);
        parts->text = lr_between(parts->number.at + parts->number.size, open);
        parts->seconds = lr_between(open + 1, end - 1);
        return true;
    }
    return false;
}

/* (.*)\)\s+=\s+(\?)$ */
static bool take_no_result(struct lr_span text, struct parts *parts)
{
    const char *begin = text.at, *end = begin + text.size, *equals, *close;

    if (!text.size || end[-1] != '?')
        return false;
    equals = lr_skip_back(begin, end - 1, LR_BLANK);
    if (equals == end - 1 || equals == begin || *--equals != '=')
        return false;
    close = lr_skip_back(begin, equals, LR_BLANK);
    if (close == equals || close == begin || *--close != ')')
        return false;
    parts->number = lr_between(end - 1, end);
    parts->arguments = lr_between(begin, close);
    parts->text = parts->seconds = lr_between(end, end);
    return true;
}

static bool take_name(struct lr_span text, struct lr_span *ret_name, struct lr_span *ret_rest)
{
    const char *end = text.at + text.size, *open = lr_skip(text.at, end, LR_LOWER_NAME);

    if (open == text.at || open == end || *open != '(')
        return false;
    *ret_name = lr_between(text.at, open);
    *ret_rest = lr_between(open + 1, end);
    return true;
}

/* What the process executes by then; calls that return a number may change it. */
static struct lr_span executable_of(struct lr_log *log, struct lr_log_thread *thread, const struct parts *parts)
{
    struct lr_span path = log->paths.count ? log->paths.path[0] : (struct lr_span) {"", 0};
    const char *begin = parts->number.at, *end = begin + parts->number.size;
    int64_t value;
    int error = 0;

    if (memchr(begin, '?', parts->number.size))
        return (struct lr_span) {"", 0};
    value = *begin == '-' ? -lr_decimal(lr_between(begin + 1, end)) : lr_decimal(parts->number);
    if (lr_begins(parts->name, "exec") && value >= 0)
        error = lr_thread_executes(thread, path, log->counts.lines);
    else if (lr_same(parts->name, "clone") && value >= 0)
        error = lr_thread_inherits(&log->threads, thread, value);
    if (error < 0)
        log->out.error = error;
    return lr_process_executable(thread);
}

static void add_row(struct lr_log *log, const struct lr_line *line, struct lr_log_thread *thread,
                    const struct parts *parts, const char *found_by)
{
    struct lr_csv_row row = {
        .time = parts->stamp, .pid = parts->pid, .name = parts->name, .number = parts->number,
        .rest = lr_trimmed(parts->text), .duration = parts->seconds, .arguments = parts->arguments,
        .found_by = {found_by, strlen(found_by)}, .whole = line->all,
    };

    lr_paths_by_pattern(parts->arguments, parts->text, &log->scratch, &log->paths);
    row.executable = executable_of(log, thread, parts);
    lr_log_csv_row(log, &row, LR_ESCAPE_VERBATIM);
}

static void begin_call(struct lr_log *log, const struct lr_line *line, struct lr_log_thread *thread,
                       struct lr_span name, struct lr_span text)
{
    struct lr_pending *pending = lr_pending_find(thread, name);

    if (pending) {
        lr_log_unknown(log, line->number);
        lr_pending_free(&log->threads, pending);
    }
    if (!lr_pending_add(&log->threads, thread, name, text, (struct lr_span) {"", 0}))
        log->out.error = -ENOMEM;
}

static void resume(struct lr_log *log, const struct lr_line *line, struct lr_log_thread *thread, struct parts *parts)
{
    struct lr_pending *pending = lr_pending_find(thread, parts->name);
    size_t skipped = parts->name.size + 1;

    if (!pending) {
        lr_log_unknown(log, line->number);
        return;
    }
    log->joined.size = 0;
    lr_text_add(&log->joined, pending->text + skipped, pending->text_size - skipped);
    lr_text_add(&log->joined, parts->arguments.at, parts->arguments.size);
    lr_pending_free(&log->threads, pending);
    parts->arguments = (struct lr_span) {log->joined.data, log->joined.error ? 0 : log->joined.size};
    add_row(log, line, thread, parts, "resumed");
}

/* What the three kinds leave: no row comes of it, but calls may end or change hands. */
static void other_line(struct lr_log *log, const struct lr_line *line, struct lr_log_thread *thread, bool cut)
{
    int64_t former = lr_superseded(line->rest);
    struct lr_log_thread *superseding;

    if (!lr_understood(line, cut, &log->arguments))
        lr_log_unknown(log, line->number);
    if (lr_ended(line->rest) || former != LR_LOG_NONE)
        while (thread->pending)
            lr_pending_free(&log->threads, thread->pending);
    if (former != LR_LOG_NONE && (superseding = lr_threads_find(&log->threads, former)) && superseding != thread)
        lr_pending_move(superseding, thread);
}

/* Reads a line; `cut` says that it is the last one and has no end. */
void lr_log_stracepy_line(struct lr_log *log, const struct lr_line *line, bool cut)
{
    struct lr_log_thread *thread;
    struct lr_span text, name, rest;
    struct parts parts;

    if (!take_leader(line->all, &parts)) {
        if (line->named || line->rest.size != line->all.size || !lr_begins(line->all, "strace: "))
            lr_log_unknown(log, line->number);
        return;
    }
    log->counts.led++;
    thread = lr_threads_get(&log->threads, lr_decimal(parts.pid));
    if (!thread) {
        log->out.error = -ENOMEM;
        return;
    }
    if (take_name(parts.rest, &name, &rest) &&
        (lr_unfinished(parts.rest, &text) || lr_pid_changes(parts.rest, &text)) && text.at + text.size >= rest.at) {
        begin_call(log, line, thread, name, text);
    } else if (lr_resumed(parts.rest, &parts.name, &rest) && lr_skip(parts.name.at, parts.name.at + parts.name.size,
               LR_LOWER_NAME) == parts.name.at + parts.name.size && (take_result(rest, true, &parts) ||
               take_no_result(rest, &parts))) {
        resume(log, line, thread, &parts);
    } else if (take_name(parts.rest, &parts.name, &rest) && take_result(rest, false, &parts)) {
        add_row(log, line, thread, &parts, "complete");
    } else {
        other_line(log, line, thread, cut);
    }
}
