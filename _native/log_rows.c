/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Events as rows: of the form `events`, all that lowrun.trace.event.Event has, in its order; and as CSV.
 */
#include "log.h"

#define SEPARATOR '\x1f'

static void put(struct lr_text *out, struct lr_span text)
{
    lr_text_escaped(out, text, LR_ESCAPE_EVENTS);
    lr_text_byte(out, SEPARATOR);
}

static void put_number(struct lr_text *out, int64_t number)
{
    if (number != LR_LOG_NONE)
        lr_text_number(out, number);
    lr_text_byte(out, SEPARATOR);
}

static void put_paths(struct lr_text *out, const struct lr_paths *paths)
{
    put(out, paths->count ? paths->path[0] : (struct lr_span) {"", 0});
    lr_text_byte(out, '[');
    for (int i = 0; i < paths->count; i++) {
        lr_text_add(out, ",", i > 0);
        lr_text_json(out, paths->path[i]);
    }
    lr_text_byte(out, ']');
    lr_text_byte(out, SEPARATOR);
}

/* Adds a row of the form `events`. */
void lr_log_event_row(struct lr_log *log, const struct lr_log_event *event)
{
    struct lr_text *out = &log->out;

    put_number(out, (int64_t) event->line);
    put(out, (struct lr_span) {event->kind, strlen(event->kind)});
    put(out, event->time);
    put_number(out, event->start_ns);
    put_number(out, event->end_ns);
    put_number(out, event->tid);
    put_number(out, event->pid);
    put(out, event->executable);
    put(out, event->name);
    put(out, event->arguments);
    put_paths(out, &log->paths);
    put(out, event->target);
    put_number(out, event->result.value);
    put(out, event->result.text);
    put(out, event->result.error);
    if (event->result.duration_ns != LR_LOG_NONE)
        lr_text_number(out, event->result.duration_ns);
    lr_text_byte(out, '\n');
    log->counts.rows++;
}

static void put_quoted(struct lr_text *out, struct lr_span text, enum lr_escape escape)
{
    lr_text_byte(out, '"');
    lr_text_escaped(out, text, escape);
    lr_text_byte(out, '"');
}

/* Adds a row of CSV. */
void lr_log_csv_row(struct lr_log *log, const struct lr_csv_row *row, enum lr_escape escape)
{
    struct lr_text *out = &log->out;
    const struct lr_span fields[] = {row->time, row->pid, row->executable, row->name,
                                     log->paths.count ? log->paths.path[0] : (struct lr_span) {"", 0}};
    const struct lr_span behind[] = {row->number, row->rest, row->duration, row->arguments, row->found_by, row->whole};
    const size_t count = 3 + (log->extra > 0 ? 2 : 0) + (log->extra > 1);

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        put_quoted(out, fields[i], escape);
        lr_text_byte(out, ',');
    }
    lr_text_add(out, "\"[", 2);
    for (int i = 0; i < log->paths.count; i++) {
        lr_text_add(out, ", ", i > 0 ? 2 : 0);
        lr_text_repr(out, log->paths.path[i], escape);
    }
    lr_text_add(out, "]\"", 2);
    for (size_t i = 0; i < count; i++) {
        lr_text_byte(out, ',');
        put_quoted(out, behind[i], escape);
    }
    lr_text_byte(out, '\n');
    log->counts.rows++;
}

/* Adds the row of a call in the form `fixed`. */
void lr_log_call_row(struct lr_log *log, const struct lr_log_event *event)
{
    struct lr_digits digits;
    const char *found_by = event->resumed ? "resumed" : "complete";
    const struct lr_csv_row row = {
        .time = event->time, .pid = lr_digits_of(event->tid, &digits), .executable = event->executable,
        .name = event->name,
        .number = event->result.number, .rest = event->result.rest, .duration = event->result.time,
        .arguments = event->arguments, .found_by = {found_by, strlen(found_by)}, .whole = event->whole,
    };

    lr_log_csv_row(log, &row, LR_ESCAPE_CSV);
}
