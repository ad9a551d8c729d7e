/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a line says: a call, or its beginning, or its end; a signal; a thread's end; a word of strace's own.
 */
#include "log.h"

static struct lr_log_thread *maker_of(const struct lr_threads *threads, const struct lr_pending **ret_call)
{
    struct lr_pending *pending = threads->newest;

    while (pending && !pending->makes_thread)
        pending = pending->older;
    *ret_call = pending;
    return pending ? pending->thread : NULL;
}

static bool has(struct lr_span text, const char *word)
{
    return memmem(text.at, text.size, word, strlen(word));
}

/* The thread `tid`. One that is new while just one call is under way that makes threads is taken for what it makes;
 * when that call returns, it is known. NULL: there is no memory. */
struct lr_log_thread *lr_log_thread_of(struct lr_log *log, int64_t tid)
{
    struct lr_log_thread *thread = lr_threads_find(&log->threads, tid), *maker;
    const struct lr_pending *call;

    if (thread)
        return thread;
    if (log->threads.makers == 1 && (maker = maker_of(&log->threads, &call)) &&
        lr_thread_makes(&log->threads, maker, tid, has((struct lr_span) {call->text, call->time_size + call->text_size},
                                                       "CLONE_THREAD"), 0) < 0)
        log->out.error = -ENOMEM;
    thread = lr_threads_get(&log->threads, tid);
    if (!thread)
        log->out.error = -ENOMEM;
    return thread;
}

static void emit(struct lr_log *log, struct lr_log_event *event)
{
    if (log->form == LR_LOG_EVENTS)
        lr_log_event_row(log, event);
    else if (!strcmp(event->kind, "call"))
        lr_log_call_row(log, event);
}

static void of_thread(struct lr_log_event *event, const struct lr_log_thread *thread)
{
    event->tid = thread->tid;
    event->pid = thread->process->pid;
    event->executable = lr_process_executable(thread);
}

/* Sets the event's files, and what its first argument is. */
static void find_files(struct lr_log *log, struct lr_log_event *event)
{
    const struct lr_arguments *arguments = &log->arguments;

    if (lr_paths_of_call(&log->table, event->name, arguments, &event->result, &log->scratch, &log->paths) < 0)
        return;
    if (arguments->note_count && arguments->note[0].argument == 0 && arguments->note[0].own &&
        lr_is(arguments->argument[0].at[0], LR_DIGIT))
        event->target = arguments->note[0].text;
}

/* The event of a call of which the log says no more. */
static void give_up_one(struct lr_log *log, struct lr_pending *pending)
{
    const char *text = pending->text + pending->time_size, *end = text + pending->text_size;
    const char *begin = text + pending->name_size + 1;
    struct lr_log_event event = {
        .kind = "unfinished", .line = pending->line, .time = {pending->text, pending->time_size},
        .start_ns = pending->start_ns, .end_ns = pending->start_ns, .name = {text, pending->name_size},
        .result = {.value = LR_LOG_NONE, .duration_ns = LR_LOG_NONE},
    };

    if (log->form == LR_LOG_EVENTS) {
        of_thread(&event, pending->thread);
        event.arguments = lr_known_arguments(lr_trimmed(lr_between(begin, end)));
        if (lr_ends(event.arguments, ","))
            event.arguments.size--;
        lr_walk_within(begin, end, &log->arguments);
        find_files(log, &event);
        emit(log, &event);
        log->paths.count = 0;            /* they are not of what ends it */
    }
    lr_pending_free(&log->threads, pending);
}

/* Nothing more is heard of what `thread` has begun; NULL: of what any has, the oldest first. */
void lr_log_give_up(struct lr_log *log, struct lr_log_thread *thread)
{
    while (thread && thread->pending)
        give_up_one(log, thread->pending);
    if (thread || !log->threads.newest)
        return;
    for (struct lr_pending *pending = log->threads.newest, *newer; ; pending = newer) {
        while (pending->older)
            pending = pending->older;
        newer = pending->newer;
        give_up_one(log, pending);
        if (!newer)
            return;
    }
}

/* The child that a call has made: of another PID namespace strace tells both numbers, with -Y. */
static int64_t child_of(const struct lr_result *result)
{
    const char *end = result->rest.at + result->rest.size, *behind;
    struct lr_span text;

    if (lr_after_word(result->rest, "/* ", &text) && has(text, "in strace's PID NS")) {
        behind = lr_skip(text.at, end, LR_DIGIT);
        return lr_decimal(lr_between(text.at, behind));
    }
    return result->value;
}

/* What a call that succeeded makes of its thread, or of another. */
static void take_effect(struct lr_log *log, const struct lr_log_event *event, struct lr_log_thread *thread,
                        uint64_t since)
{
    int error = 0;

    if (lr_makes_thread(event->name) && event->result.value > 0)
        error = lr_thread_makes(&log->threads, thread, child_of(&event->result),
                                has(event->arguments, "CLONE_THREAD"), since);
    else if (lr_begins(event->name, "exec") && event->result.value == 0 && log->paths.count)
        error = lr_thread_executes(thread, log->paths.path[0], event->line);
    if (error < 0)
        log->out.error = error;
}

/* `event` is the call `text` of `thread`, begun in line `since`. Returns false if it is none. */
static bool finish_call(struct lr_log *log, struct lr_log_event *event, struct lr_log_thread *thread,
                        struct lr_span text, uint64_t since)
{
    if (!lr_take_call(text, &log->arguments, &event->arguments, &event->result))
        return false;
    event->kind = "call";
    event->arguments = lr_known_arguments(event->arguments);
    event->name = lr_between(text.at, lr_call_begin(text));
    if (event->result.duration_ns != LR_LOG_NONE && event->start_ns != LR_LOG_NONE)
        event->end_ns = event->start_ns + event->result.duration_ns;
    find_files(log, event);
    take_effect(log, event, thread, since);
    of_thread(event, thread);
    emit(log, event);
    return true;
}

static void begin_call(struct lr_log *log, const struct lr_log_event *event, struct lr_log_thread *thread,
                       struct lr_span text)
{
    const char *open = lr_call_begin(text);
    struct lr_pending *pending = lr_pending_add(&log->threads, thread, lr_between(text.at, open), text, event->time);

    if (!pending) {
        log->out.error = -ENOMEM;
        return;
    }
    pending->line = event->line;
    pending->start_ns = event->start_ns;
}

/* The call that `thread` goes on with. Where not all lines say whose they are, it may have been begun by no one. */
static struct lr_pending *begun(struct lr_log *log, struct lr_log_thread *thread, struct lr_span name)
{
    struct lr_pending *pending = lr_pending_find(thread, name);
    struct lr_log_thread *nobody;

    if (pending)
        return pending;
    if (thread->tid == 0)
        return lr_pending_stray(&log->threads, name);
    nobody = lr_threads_find(&log->threads, 0);
    return nobody ? lr_pending_find(nobody, name) : NULL;
}

static bool resume(struct lr_log *log, struct lr_log_event *event, struct lr_log_thread *thread, struct lr_span name,
                   struct lr_span rest, bool cut)
{
    struct lr_pending *pending = begun(log, thread, name);
    struct lr_text *joined = &log->joined;
    uint64_t since = event->line;
    bool done;

    joined->size = 0;
    if (pending) {
        lr_text_add(joined, pending->text + pending->time_size, pending->text_size);
        event->start_ns = pending->start_ns;
        since = pending->line;
        thread = pending->thread;
    } else {
        lr_text_add(joined, name.at, name.size);
        lr_text_byte(joined, '(');
    }
    if (joined->error)
        return true;
    if (lr_is(joined->data[joined->size - 1], LR_BLANK))
        rest = lr_between(lr_skip(rest.at, rest.at + rest.size, LR_BLANK), rest.at + rest.size);
    lr_text_add(joined, rest.at, rest.size);
    if (joined->error)
        return true;
    event->resumed = true;
    done = finish_call(log, event, thread, (struct lr_span) {joined->data, joined->size}, since);
    if (done && pending)
        lr_pending_free(&log->threads, pending);
    return done || (cut && pending);
}

static bool call_line(struct lr_log *log, struct lr_log_event *event, struct lr_span rest, bool cut)
{
    struct lr_log_thread *thread;
    struct lr_span name, text;
    bool resumed = lr_resumed(rest, &name, &text);

    if (!resumed && !lr_call_begin(rest))
        return false;
    thread = lr_log_thread_of(log, event->tid);
    if (!thread)
        return true;
    if (resumed)
        return resume(log, event, thread, name, text, cut);
    if (thread->pending && thread->tid)
        lr_log_give_up(log, thread);
    if (lr_unfinished(rest, &text) || lr_pid_changes(rest, &text)) {
        begin_call(log, event, thread, text);
        return true;
    }
    if (lr_detached(rest, &text)) {
        begin_call(log, event, thread, text);
        lr_log_give_up(log, thread);
        return true;
    }
    if (finish_call(log, event, thread, rest, event->line))
        return true;
    if (cut)
        begin_call(log, event, thread, rest);
    return cut;
}

/* With -z strace leaves out calls that failed, and at times the beginning of a line that ends one in two. What is left
 * of it, `~[KILL STOP], 8) = 0`, goes on with the line before. */
static bool torn_line(struct lr_log *log, struct lr_log_event *event, const struct lr_line *line)
{
    struct lr_pending *pending = log->threads.newest;
    struct lr_span name;

    if (line->named || line->clock != LR_CLOCK_NONE || !pending || pending->line + 1 != line->number)
        return false;
    name = (struct lr_span) {pending->text + pending->time_size, pending->name_size};
    event->time = (struct lr_span) {pending->text, pending->time_size};
    event->end_ns = pending->start_ns;
    return resume(log, event, pending->thread, name, line->rest, false);
}

static bool signal_line(struct lr_log *log, struct lr_log_event *event, struct lr_span rest)
{
    struct lr_log_thread *thread;
    struct lr_span text;
    const char *end, *behind;

    if (!lr_framed(rest, "---", &text) || !(thread = lr_log_thread_of(log, event->tid)))
        return false;
    event->kind = lr_after_word(text, "stopped by ", &text) ? "stopped" : "signal";
    end = text.at + text.size;
    for (behind = text.at; behind < end && !lr_is(*behind, LR_BLANK); behind++)
        ;
    event->name = lr_between(text.at, behind);
    event->arguments = lr_trimmed(lr_between(behind, end));
    of_thread(event, thread);
    emit(log, event);
    return true;
}

/* The leader of a process goes on as what the thread `former` has executed. */
static void supersede(struct lr_log *log, struct lr_log_thread *leader, int64_t former)
{
    struct lr_log_thread *thread = lr_threads_find(&log->threads, former);

    lr_log_give_up(log, leader);
    if (thread && thread != leader) {
        lr_pending_move(thread, leader);
        lr_threads_remove(&log->threads, thread);
    }
}

static bool end_line(struct lr_log *log, struct lr_log_event *event, struct lr_span rest)
{
    struct lr_log_thread *thread;
    struct lr_span text, tail;
    bool ended = lr_ended(rest);
    int64_t former = lr_superseded(rest);

    if (!lr_framed(rest, "+++", &text) || !(thread = lr_log_thread_of(log, event->tid)))
        return false;
    if (ended)
        lr_log_give_up(log, thread);
    of_thread(event, thread);
    if (lr_after_word(text, "exited with ", &tail)) {
        event->kind = "exit";
        event->result.value = lr_number(tail);
    } else if (lr_after_word(text, "killed by ", &tail)) {
        const char *end = tail.at + tail.size, *behind = memchr(tail.at, ' ', tail.size);

        event->kind = "killed";
        event->name = lr_between(tail.at, behind ? behind : end);
        event->arguments = lr_trimmed(lr_between(behind ? behind : end, end));
    } else if (former != LR_LOG_NONE) {
        event->kind = "superseded";
        event->result.value = former;
        supersede(log, thread, former);
    } else {
        event->kind = "note";
        event->result.text = text;
    }
    emit(log, event);
    if (ended)
        lr_threads_remove(&log->threads, thread);
    return true;
}

/* Reads a line; `cut` says that it is the last one and has no end. */
void lr_log_event_line(struct lr_log *log, const struct lr_line *line, bool cut)
{
    int64_t time = lr_log_time(log, line);
    struct lr_log_event event = {
        .kind = "note", .line = line->number, .time = line->time, .start_ns = time, .end_ns = time, .tid = line->tid,
        .pid = line->tid, .whole = line->all, .result = {.value = LR_LOG_NONE, .duration_ns = LR_LOG_NONE},
    };

    log->paths.count = 0;
    log->counts.led += line->named && line->clock != LR_CLOCK_NONE;
    if (lr_is_notice(line) || (cut && !lr_call_begin(line->rest) && (line->named || line->time.size))) {
        event.result.text = line->rest;
        if (cut && (call_line(log, &event, line->rest, cut) || signal_line(log, &event, line->rest) ||
                    end_line(log, &event, line->rest)))
            return;
        emit(log, &event);
    } else if (!call_line(log, &event, line->rest, cut) && !signal_line(log, &event, line->rest) &&
               !end_line(log, &event, line->rest) && !torn_line(log, &event, line)) {
        lr_log_unknown(log, line->number);
    }
}
