/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The threads of a log, the processes that they are of, and the calls that they are in. Memory is bounded by how many
 * there are at a time: what ended is forgotten.
 */
#include "log.h"

static size_t bucket_of(const struct lr_threads *threads, int64_t tid)
{
    return ((uint64_t) tid * 0x9e3779b97f4a7c15u >> 32) & threads->mask;
}

struct lr_log_thread *lr_threads_find(struct lr_threads *threads, int64_t tid)
{
    struct lr_log_thread *thread = threads->last;

    if (thread && thread->tid == tid)
        return thread;
    if (!threads->buckets)
        return NULL;
    for (thread = threads->buckets[bucket_of(threads, tid)]; thread && thread->tid != tid; thread = thread->next)
        ;
    if (thread)
        threads->last = thread;
    return thread;
}

static int grow(struct lr_threads *threads)
{
    struct lr_threads grown = {.mask = threads->buckets ? threads->mask * 2 + 1 : 63};

    grown.buckets = calloc(grown.mask + 1, sizeof(*grown.buckets));
    if (!grown.buckets)
        return -ENOMEM;
    for (size_t i = 0; threads->buckets && i <= threads->mask; i++)
        for (struct lr_log_thread *thread = threads->buckets[i], *next; thread; thread = next) {
            size_t bucket = bucket_of(&grown, thread->tid);

            next = thread->next;
            thread->next = grown.buckets[bucket];
            grown.buckets[bucket] = thread;
        }
    free(threads->buckets);
    threads->buckets = grown.buckets;
    threads->mask = grown.mask;
    return 0;
}

static void leave(struct lr_log_thread *thread)
{
    if (thread->process && --thread->process->users == 0) {
        free(thread->process->executable);
        free(thread->process);
    }
    thread->process = NULL;
}

/* Makes `thread` the one thread of a new process. */
static int begin_process(struct lr_log_thread *thread)
{
    struct lr_log_process *process = calloc(1, sizeof(*process));

    if (!process)
        return -ENOMEM;
    leave(thread);
    process->users = 1;
    process->pid = thread->tid;
    thread->process = process;
    return 0;
}

/* The thread `tid`, which is a process of its own unless it is known; NULL: there is no memory. */
struct lr_log_thread *lr_threads_get(struct lr_threads *threads, int64_t tid)
{
    struct lr_log_thread *thread = lr_threads_find(threads, tid);
    size_t bucket;

    if (thread)
        return thread;
    if ((!threads->buckets || threads->count > threads->mask) && grow(threads) < 0)
        return NULL;
    thread = calloc(1, sizeof(*thread));
    if (!thread)
        return NULL;
    thread->tid = tid;
    if (begin_process(thread) < 0) {
        free(thread);
        return NULL;
    }
    bucket = bucket_of(threads, tid);
    thread->next = threads->buckets[bucket];
    threads->buckets[bucket] = thread;
    threads->count++;
    threads->last = thread;
    return thread;
}

void lr_threads_remove(struct lr_threads *threads, struct lr_log_thread *thread)
{
    struct lr_log_thread **link = &threads->buckets[bucket_of(threads, thread->tid)];

    while (*link != thread)
        link = &(*link)->next;
    *link = thread->next;
    while (thread->pending)
        lr_pending_free(threads, thread->pending);
    leave(thread);
    if (threads->last == thread)
        threads->last = NULL;
    threads->count--;
    free(thread);
}

void lr_threads_free(struct lr_threads *threads)
{
    for (size_t i = 0; threads->buckets && i <= threads->mask; i++)
        while (threads->buckets[i])
            lr_threads_remove(threads, threads->buckets[i]);
    free(threads->buckets);
    threads->buckets = NULL;
}

struct lr_span lr_process_executable(const struct lr_log_thread *thread)
{
    const struct lr_log_process *process = thread->process;

    return process->executable ? (struct lr_span) {process->executable, process->executable_size}
                               : (struct lr_span) {"", 0};
}

/* From `line` on the process of `thread` executes `executable`. */
int lr_thread_executes(struct lr_log_thread *thread, struct lr_span executable, uint64_t line)
{
    char *copy = malloc(executable.size + 1);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, executable.at, executable.size);
    free(thread->process->executable);
    thread->process->executable = copy;
    thread->process->executable_size = executable.size;
    thread->process->exec_line = line;
    return 0;
}

static void share(struct lr_log_thread *child, const struct lr_log_thread *thread)
{
    if (child->process != thread->process) {
        leave(child);
        child->process = thread->process;
        child->process->users++;
    }
}

static int copy_executable(const struct lr_log_thread *thread, struct lr_log_thread *child)
{
    uint64_t line = child->process->exec_line;
    int error = 0;

    if (thread->process->executable)
        error = lr_thread_executes(child, lr_process_executable(thread), 0);
    child->process->exec_line = line;
    return error;
}

/* `thread` has made `child`, which may have been heard of already: by a call that began in line `since`. What it has
 * executed since stays. */
int lr_thread_makes(struct lr_threads *threads, const struct lr_log_thread *thread, int64_t child_tid,
                    bool same_process, uint64_t since)
{
    struct lr_log_thread *child = lr_threads_get(threads, child_tid);

    if (!child)
        return -ENOMEM;
    if (child == thread || (child->process->exec_line > since && child->process != thread->process))
        return 0;
    if (same_process) {
        share(child, thread);
        return 0;
    }
    if ((child->process == thread->process || child->process->users > 1) && begin_process(child) < 0)
        return -ENOMEM;
    return copy_executable(thread, child);
}

/* The child has the executable that `thread` has, whatever it did: a process is a number here. */
int lr_thread_inherits(struct lr_threads *threads, const struct lr_log_thread *thread, int64_t child_tid)
{
    struct lr_log_thread *child = lr_threads_get(threads, child_tid);

    return !child ? -ENOMEM : child == thread ? 0 : copy_executable(thread, child);
}

/* Whether `name` is one of the calls that make threads and processes. */
bool lr_makes_thread(struct lr_span name)
{
    return lr_same(name, "clone") || lr_same(name, "clone3") || lr_same(name, "vfork") || lr_same(name, "fork");
}

/* Keeps that `thread` has begun a call: `text` is name(arguments. NULL: there is no memory. */
struct lr_pending *lr_pending_add(struct lr_threads *threads, struct lr_log_thread *thread, struct lr_span name,
                                  struct lr_span text, struct lr_span time)
{
    struct lr_pending *pending = malloc(sizeof(*pending) + time.size + text.size);

    if (!pending)
        return NULL;
    *pending = (struct lr_pending) {
        .next = thread->pending, .older = threads->newest, .thread = thread, .makes_thread = lr_makes_thread(name),
        .name_size = (uint32_t) name.size, .time_size = (uint32_t) time.size, .text_size = text.size,
    };
    memcpy(pending->text, time.at, time.size);
    memcpy(pending->text + time.size, text.at, text.size);
    thread->pending = pending;
    if (threads->newest)
        threads->newest->newer = pending;
    threads->newest = pending;
    threads->makers += pending->makes_thread;
    return pending;
}

static bool is_of(const struct lr_pending *pending, struct lr_span name)
{
    return pending->name_size == name.size && !memcmp(pending->text + pending->time_size, name.at, name.size);
}

/* The call `name` that `thread` has begun; NULL: none. */
struct lr_pending *lr_pending_find(const struct lr_log_thread *thread, struct lr_span name)
{
    struct lr_pending *pending = thread->pending;

    while (pending && !is_of(pending, name))
        pending = pending->next;
    return pending;
}

/* The only call `name` that any thread has begun; NULL: there is none, or more. */
struct lr_pending *lr_pending_stray(const struct lr_threads *threads, struct lr_span name)
{
    struct lr_pending *found = NULL;

    for (struct lr_pending *pending = threads->newest; pending; pending = pending->older) {
        if (is_of(pending, name) && found)
            return NULL;
        if (is_of(pending, name))
            found = pending;
    }
    return found;
}

/* What `from` has begun is of `to` from now on. */
void lr_pending_move(struct lr_log_thread *from, struct lr_log_thread *to)
{
    struct lr_pending **end = &to->pending;

    while (*end)
        end = &(*end)->next;
    *end = from->pending;
    from->pending = NULL;
    for (struct lr_pending *pending = *end; pending; pending = pending->next)
        pending->thread = to;
}

void lr_pending_free(struct lr_threads *threads, struct lr_pending *pending)
{
    struct lr_pending **link = &pending->thread->pending;

    while (*link != pending)
        link = &(*link)->next;
    *link = pending->next;
    if (pending->older)
        pending->older->newer = pending->newer;
    if (pending->newer)
        pending->newer->older = pending->older;
    else
        threads->newest = pending->older;
    threads->makers -= pending->makes_thread;
    free(pending);
}
