/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bytes of a log, in chunks as they come, to lines; the functions that Python calls. Lines end as they do in Python's
 * open(): \n, \r\n or \r. One chunk's rows are kept until the next: the caller takes them in between.
 */
#include "log.h"

int lr_log_create(int form, int extra, const struct lr_path_row *rows, uint32_t count, struct lr_log **ret_log)
{
    struct lr_log *log = calloc(1, sizeof(*log));
    int error = log ? lr_path_table_make(&log->table, rows, count) : -ENOMEM;

    if (error < 0) {
        free(log);
        return error;
    }
    log->form = form;
    log->extra = extra;
    log->clock_ns = LR_LOG_NONE;
    *ret_log = log;
    return 0;
}

void lr_log_free(struct lr_log *log)
{
    if (!log)
        return;
    lr_threads_free(&log->threads);
    lr_text_free(&log->out);
    lr_text_free(&log->partial);
    lr_text_free(&log->carried);
    lr_text_free(&log->joined);
    lr_text_free(&log->scratch);
    free(log->table.rows);
    free(log);
}

void lr_log_unknown(struct lr_log *log, uint64_t line)
{
    if (log->counts.unknown < LR_LOG_UNKNOWN_LINES)
        log->counts.unknown_lines[log->counts.unknown] = line;
    log->counts.unknown++;
}

/* `time` and so much more; what a damaged log adds up to stays far enough from overflow for a duration to be added. */
static int64_t later(int64_t time, int64_t more_ns)
{
    return time > INT64_MAX / 2 - more_ns ? INT64_MAX / 2 : time + more_ns;
}

/* The time of `line`, in nanoseconds since 1970, or the first day's midnight, or the log's beginning: strace tells the
 * time of day, or what passed since the line before. A clock that falls by more than half a day has passed midnight;
 * one that rises so is of a line from before it. */
int64_t lr_log_time(struct lr_log *log, const struct lr_line *line)
{
    const int64_t day = 86400 * INT64_C(1000000000);
    int64_t time = line->time_ns;

    if (line->clock == LR_CLOCK_NONE)
        return LR_LOG_NONE;
    if (line->clock == LR_CLOCK_DELTA)
        return log->clock_ns = later(log->clock_ns == LR_LOG_NONE ? 0 : log->clock_ns, time);
    if (line->clock == LR_CLOCK_EPOCH)
        return time;
    time += log->day_ns;
    if (log->clock_ns != LR_LOG_NONE && time > log->clock_ns + day / 2 && log->day_ns > 0)
        return time - day;
    if (log->clock_ns != LR_LOG_NONE && time < log->clock_ns - day / 2) {
        log->day_ns = later(log->day_ns, day);
        time += day;
    }
    return log->clock_ns = time;
}

static void understand(struct lr_log *log, struct lr_span text, bool cut)
{
    struct lr_line line = {.number = log->counts.lines, .all = text};

    lr_line_lead(&line);
    if (log->form == LR_LOG_STRACEPY)
        lr_log_stracepy_line(log, &line, cut);
    else
        lr_log_event_line(log, &line, cut);
}

/* On a terminal strace tells of new processes in the middle of a line, which goes on in the next:
 *
 *     vfork(strace: Process 50 attached
 *      <unfinished ...>
 */
static bool take_notice(struct lr_log *log, struct lr_span text)
{
    static const char word[] = "strace: Process ";
    const char *end = text.at + text.size, *at;

    if (!lr_ends(text, " attached") || log->carried.size > LR_LOG_LINE_MAX)
        return false;
    at = lr_skip_back(text.at, end - strlen(" attached"), LR_DIGIT) - strlen(word);
    if (at < text.at || memcmp(at, word, strlen(word)))
        return false;
    lr_text_add(&log->carried, text.at, (size_t) (at - text.at));
    understand(log, lr_between(at, end), false);
    return true;
}

static void end_line(struct lr_log *log, struct lr_span text, bool cut)
{
    log->counts.lines++;
    if (log->overlong) {
        log->overlong = false;
        lr_log_unknown(log, log->counts.lines);
        return;
    }
    if (take_notice(log, text))
        return;
    if (log->carried.size) {
        lr_text_add(&log->carried, text.at, text.size);
        text = (struct lr_span) {log->carried.data, log->carried.error ? 0 : log->carried.size};
        log->carried.size = 0;
    }
    if (text.size)
        understand(log, text, cut);
}

/* A piece of a line that the next chunk goes on with, or this is the end of. */
static void add_piece(struct lr_log *log, const char *at, size_t size)
{
    if (log->partial.size + size > LR_LOG_LINE_MAX) {
        log->overlong = true;
        log->partial.size = 0;
    }
    if (!log->overlong)
        lr_text_add(&log->partial, at, size);
}

static int error_of(const struct lr_log *log)
{
    return log->out.error | log->partial.error | log->carried.error | log->joined.error | log->scratch.error;
}

/* Where the line at `at` ends: NULL: not in this chunk. `returns` says whether there is any \r in the chunk. */
static const char *line_end(const char *at, const char *end, bool returns)
{
    const char *newline = memchr(at, '\n', (size_t) (end - at));
    const char *behind = newline ? newline : end;
    const char *carriage = returns ? memchr(at, '\r', (size_t) (behind - at)) : NULL;

    return carriage ? carriage : newline;
}

/* Reads the log's next `size` bytes; the rows are in lr_log_rows. Returns 0 or -ENOMEM. */
int lr_log_feed(struct lr_log *log, const char *data, size_t size)
{
    const char *at = data, *end = data + size, *stop;
    bool returns = size && memchr(data, '\r', size);

    log->out.size = 0;
    if (log->after_return && size) {
        at += *at == '\n';
        log->after_return = false;
    }
    for (; at < end && (stop = line_end(at, end, returns)); at = stop + 1) {
        if (log->partial.size || log->overlong) {
            add_piece(log, at, (size_t) (stop - at));
            end_line(log, (struct lr_span) {log->partial.data, log->partial.size}, false);
            log->partial.size = 0;
        } else if ((size_t) (stop - at) > LR_LOG_LINE_MAX) {
            log->overlong = true;
            end_line(log, (struct lr_span) {at, 0}, false);
        } else {
            end_line(log, lr_between(at, stop), false);
        }
        if (*stop == '\r') {
            log->after_return = stop + 1 == end;
            stop += stop + 1 < end && stop[1] == '\n';
        }
    }
    if (at < end)
        add_piece(log, at, (size_t) (end - at));
    return error_of(log);
}

/* There is no more of the log: the last line may be cut short, and what has not returned never will. */
int lr_log_finish(struct lr_log *log)
{
    log->out.size = 0;
    if (log->partial.size || log->overlong || log->carried.size)
        end_line(log, (struct lr_span) {log->partial.data ? log->partial.data : "", log->partial.size}, true);
    log->partial.size = 0;
    if (log->form == LR_LOG_EVENTS)
        lr_log_give_up(log, NULL);
    return error_of(log);
}

/* The rows of what was read last; they last until more is. Returns their size. */
int64_t lr_log_rows(const struct lr_log *log, const char **ret_rows)
{
    *ret_rows = log->out.data;
    return (int64_t) log->out.size;
}

void lr_log_counts(const struct lr_log *log, struct lr_log_counts *ret_counts)
{
    *ret_counts = log->counts;
}
