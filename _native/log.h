/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading logs of system calls, strace's text and lowrun's own: what log*.c share. Bytes go in, rows come out.
 *
 *     log.c           chunks -> lines; the functions that Python calls
 *     log_leader.c    a line's thread and time
 *     log_words.c     spans of text, numbers
 *     log_walk.c      a call's arguments and its result
 *     log_threads.c   threads, processes, what they execute, the calls that they are in
 *     log_paths.c     the files that a call is about
 *     log_syntax.c    what lines look like
 *     log_events.c    lines -> events
 *     log_rows.c      events -> rows of the forms `events` and `fixed`
 *     log_stracepy.c  lines -> rows as bmwcarit/stracepy's strace2csv makes them; log_pattern.c: its paths
 *     log_text.c      text that is written: escapes, quotes
 */
#ifndef LR_LOG_H
#define LR_LOG_H

#include "lowrun.h"

#include <stdbool.h>
#include <stdlib.h>

#define LR_LOG_NONE INT64_MIN            /* a number that the log does not have */
#define LR_LOG_LINE_MAX (16u << 20)      /* a longer line is not understood */
#define LR_LOG_ARGUMENTS 16              /* of a call, that are looked at */
#define LR_LOG_NOTES 64                  /* descriptors in them, that are looked at */
#define LR_LOG_PATHS 256                 /* of a call: the pattern finds 250 at the most */
#define LR_LOG_SLOTS 2048

struct lr_span {
    const char *at;
    size_t size;
};

/* ---- words: log_words.c ---- */
extern const uint8_t lr_byte_kinds[256];
enum { LR_DIGIT = 1, LR_BLANK = 2, LR_NAME = 4, LR_LOWER_NAME = 8, LR_HEX = 16, LR_WORD = 32 };

static inline bool lr_is(char byte, int kind)
{
    return lr_byte_kinds[(uint8_t) byte] & kind;
}

static inline struct lr_span lr_between(const char *begin, const char *end)
{
    return (struct lr_span) {begin, (size_t) (end - begin)};
}

/* These are called for every field of every line: inline they take a third less time in all. */
static inline const char *lr_skip(const char *at, const char *end, int kind)
{
    while (at < end && lr_is(*at, kind))
        at++;
    return at;
}

/* Where the bytes of `kind` begin that end at `at`. */
static inline const char *lr_skip_back(const char *begin, const char *at, int kind)
{
    while (at > begin && lr_is(at[-1], kind))
        at--;
    return at;
}

static inline struct lr_span lr_trimmed(struct lr_span text)
{
    const char *end = text.at + text.size, *begin = lr_skip(text.at, end, LR_BLANK);

    return lr_between(begin, lr_skip_back(begin, end, LR_BLANK));
}

static inline bool lr_begins(struct lr_span text, const char *word)
{
    size_t size = strlen(word);

    return text.size >= size && !memcmp(text.at, word, size);
}

static inline bool lr_ends(struct lr_span text, const char *word)
{
    size_t size = strlen(word);

    return text.size >= size && !memcmp(text.at + text.size - size, word, size);
}

static inline bool lr_same(struct lr_span text, const char *word)
{
    return text.size == strlen(word) && !memcmp(text.at, word, text.size);
}

int64_t lr_decimal(struct lr_span digits);
int64_t lr_number(struct lr_span text);
int64_t lr_fraction_ns(const char *at, const char *end);

/* ---- text that is written: log_text.c ---- */
struct lr_text {
    char *data;
    size_t size, room;
    int error;                           /* -ENOMEM: what was to be written since is lost */
};
enum lr_escape {
    LR_ESCAPE_EVENTS,                    /* control characters and what is no UTF-8 become \ooo */
    LR_ESCAPE_CSV,                       /* the same, and " is doubled */
    LR_ESCAPE_VERBATIM,                  /* " is doubled, what is no UTF-8 becomes \ooo */
};
char *lr_text_grow(struct lr_text *text, size_t size);

/* Makes room for `size` more bytes and returns where they go; NULL: there is no memory, which `error` keeps. */
static inline char *lr_text_room(struct lr_text *text, size_t size)
{
    return text->room - text->size >= size ? text->data + text->size : lr_text_grow(text, size);
}

static inline void lr_text_add(struct lr_text *text, const char *data, size_t size)
{
    char *at = lr_text_room(text, size);

    if (!at || !size)
        return;
    memcpy(at, data, size);
    text->size += size;
}

static inline void lr_text_byte(struct lr_text *text, char byte)
{
    char *at = lr_text_room(text, 1);

    if (!at)
        return;
    *at = byte;
    text->size++;
}

struct lr_digits {
    char text[24];
};
struct lr_span lr_digits_of(int64_t number, struct lr_digits *digits);
void lr_text_number(struct lr_text *text, int64_t number);
void lr_text_escaped(struct lr_text *text, struct lr_span data, enum lr_escape escape);
void lr_text_json(struct lr_text *text, struct lr_span data);
void lr_text_repr(struct lr_text *text, struct lr_span data, enum lr_escape escape);
void lr_text_free(struct lr_text *text);
int lr_utf8_size(const char *at, const char *end, uint32_t *ret_code);
bool lr_is_printable(uint32_t code);

/* ---- a line's leader: log_leader.c ---- */
enum lr_clock { LR_CLOCK_NONE, LR_CLOCK_DAY, LR_CLOCK_EPOCH, LR_CLOCK_DELTA };
struct lr_line {
    uint64_t number;                     /* from 1 */
    struct lr_span all;
    bool named;                          /* it says whose it is */
    int64_t tid;                         /* 0: it does not */
    struct lr_span time;
    enum lr_clock clock;
    int64_t time_ns;                     /* as `clock` means it; LR_LOG_NONE */
    struct lr_span rest;
};
void lr_line_lead(struct lr_line *line);

/* ---- arguments and results: log_walk.c ---- */
struct lr_note {                         /* what stands between < and > behind a descriptor */
    struct lr_span text;
    int argument;
    bool own;                            /* it is of the argument itself, not of something in it */
};
struct lr_arguments {
    int count, note_count;
    struct lr_span argument[LR_LOG_ARGUMENTS];
    struct lr_note note[LR_LOG_NOTES];
    struct lr_span address;              /* the file of a socket's address, in quotes; at NULL: none */
};
struct lr_result {
    struct lr_span text;                 /* behind the equals sign, without the time */
    struct lr_span number, rest, error, note, time;
    int64_t value;                       /* LR_LOG_NONE: none */
    int64_t duration_ns;                 /* LR_LOG_NONE: none */
};
const char *lr_walk(const char *at, const char *end, struct lr_arguments *ret_arguments);
void lr_walk_within(const char *at, const char *end, struct lr_arguments *ret_arguments);
const char *lr_last_equals(const char *begin, const char *end);
const char *lr_note_end(const char *at, const char *end, struct lr_span *ret_text);
void lr_result_read(struct lr_span text, struct lr_result *ret_result);

/* ---- what lines look like: log_syntax.c ---- */
bool lr_unfinished(struct lr_span rest, struct lr_span *ret_text);
bool lr_pid_changes(struct lr_span rest, struct lr_span *ret_text);
bool lr_resumed(struct lr_span rest, struct lr_span *ret_name, struct lr_span *ret_text);
bool lr_ended(struct lr_span rest);
int64_t lr_superseded(struct lr_span rest);
bool lr_detached(struct lr_span rest, struct lr_span *ret_text);
bool lr_framed(struct lr_span rest, const char *sign, struct lr_span *ret_text);
bool lr_after_word(struct lr_span text, const char *word, struct lr_span *ret_text);
bool lr_is_notice(const struct lr_line *line);
const char *lr_call_begin(struct lr_span text);
bool lr_take_call(struct lr_span text, struct lr_arguments *ret_arguments, struct lr_span *ret_text,
                  struct lr_result *ret_result);
struct lr_span lr_known_arguments(struct lr_span text);
bool lr_understood(const struct lr_line *line, bool cut, struct lr_arguments *scratch);

/* ---- threads: log_threads.c ---- */
struct lr_log_process {
    uint32_t users;                      /* threads */
    int64_t pid;
    uint64_t exec_line;                  /* of its last exec; 0: none */
    size_t executable_size;
    char *executable;                    /* NULL: not known */
};
struct lr_pending {                      /* a call that has begun */
    struct lr_pending *next;             /* of the same thread */
    struct lr_pending *newer, *older;    /* of all */
    struct lr_log_thread *thread;
    uint64_t line;
    int64_t start_ns;
    bool makes_thread;                   /* fork or one of its kin */
    uint32_t name_size, time_size;
    size_t text_size;
    char text[];                         /* time, then name(arguments */
};
struct lr_log_thread {
    struct lr_log_thread *next;          /* in its bucket */
    int64_t tid;
    struct lr_log_process *process;
    struct lr_pending *pending;
};
struct lr_threads {
    struct lr_log_thread **buckets;
    size_t count, mask;
    struct lr_log_thread *last;          /* found */
    struct lr_pending *newest;
    size_t makers;                       /* of the pending calls, that make threads */
};
struct lr_log_thread *lr_threads_find(struct lr_threads *threads, int64_t tid);
struct lr_log_thread *lr_threads_get(struct lr_threads *threads, int64_t tid);
void lr_threads_remove(struct lr_threads *threads, struct lr_log_thread *thread);
void lr_threads_free(struct lr_threads *threads);
int lr_thread_executes(struct lr_log_thread *thread, struct lr_span executable, uint64_t line);
int lr_thread_makes(struct lr_threads *threads, const struct lr_log_thread *thread, int64_t child, bool same_process,
                    uint64_t since);
int lr_thread_inherits(struct lr_threads *threads, const struct lr_log_thread *thread, int64_t child);
struct lr_pending *lr_pending_add(struct lr_threads *threads, struct lr_log_thread *thread, struct lr_span name,
                                  struct lr_span text, struct lr_span time);
struct lr_pending *lr_pending_find(const struct lr_log_thread *thread, struct lr_span name);
struct lr_pending *lr_pending_stray(const struct lr_threads *threads, struct lr_span name);
void lr_pending_move(struct lr_log_thread *from, struct lr_log_thread *to);
void lr_pending_free(struct lr_threads *threads, struct lr_pending *pending);
struct lr_span lr_process_executable(const struct lr_log_thread *thread);
bool lr_makes_thread(struct lr_span name);

/* ---- what a line says: log_events.c ---- */
struct lr_log_event {
    const char *kind;                    /* lowrun.trace.event */
    uint64_t line;
    struct lr_span time;
    int64_t start_ns, end_ns, tid, pid;
    struct lr_span executable, name, arguments, target;
    struct lr_result result;             /* of a call; of others `text` and `value` */
    struct lr_span whole;                /* the line that completes it */
    bool resumed;
};

/* ---- files: log_paths.c ---- */
struct lr_paths {
    int count;
    struct lr_span path[LR_LOG_PATHS];
};
struct lr_path_table {
    struct lr_path_row *rows;
    uint16_t slots[LR_LOG_SLOTS];        /* by name: place in `rows` + 1, 0: none */
};
int lr_path_table_make(struct lr_path_table *table, const struct lr_path_row *rows, uint32_t count);
int lr_paths_of_call(const struct lr_path_table *table, struct lr_span name, const struct lr_arguments *arguments,
                     const struct lr_result *result, struct lr_text *scratch, struct lr_paths *ret_paths);
void lr_paths_by_pattern(struct lr_span arguments, struct lr_span result, struct lr_text *scratch,
                         struct lr_paths *ret_paths);

/* ---- the whole ---- */
struct lr_log {
    int form;                            /* LR_LOG_... */
    int extra;                           /* more columns of CSV: 1 args and found_by, 2 strace_line too */
    struct lr_path_table table;
    struct lr_log_counts counts;
    struct lr_text out, partial, carried, joined, scratch;
    bool overlong, after_return;         /* in a line that is too long; the last byte ended a line: \r */
    struct lr_threads threads;
    int64_t clock_ns, day_ns;            /* the last line's time, and what midnights have added to it */
    struct lr_paths paths;
    struct lr_arguments arguments;
};
void lr_log_unknown(struct lr_log *log, uint64_t line);
int64_t lr_log_time(struct lr_log *log, const struct lr_line *line);
struct lr_log_thread *lr_log_thread_of(struct lr_log *log, int64_t tid);
void lr_log_event_line(struct lr_log *log, const struct lr_line *line, bool cut);
void lr_log_give_up(struct lr_log *log, struct lr_log_thread *thread);
struct lr_csv_row {
    struct lr_span time, pid, executable, name, number, rest, duration, arguments, found_by, whole;
};
void lr_log_csv_row(struct lr_log *log, const struct lr_csv_row *row, enum lr_escape escape);
void lr_log_event_row(struct lr_log *log, const struct lr_log_event *event);
void lr_log_call_row(struct lr_log *log, const struct lr_log_event *event);
void lr_log_stracepy_line(struct lr_log *log, const struct lr_line *line, bool cut);

#endif
