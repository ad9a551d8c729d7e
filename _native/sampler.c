/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Samples of the tree below a keeper.
 *
 * A tick walks the tree from the keeper down, by each process's list of
 * children. The keeper adopts orphans, so nothing leaves the tree; what moves
 * while it is walked is met again among those that are known and were not met.
 *
 * Sums over the tree's life have the dead in them: what a process used is its
 * parent's from the moment at which it is waited for (cutime and cstime of
 * proc_pid_stat(5); /proc/PID/io). A parent is read before its children: a child
 * that is waited for between is missed once, never counted twice, and sums are
 * never written smaller than before. Children of a parent that ignores SIGCHLD
 * are nobody's; what they had used when they were last met is added here.
 *
 * A process whose CPU clock stands still has done nothing: its state, times,
 * calls and children are as they were, and only now and then all is read again:
 * others can take its memory away, and give it orphans. The clock is read at
 * every tick, the files as often as READ_SHARE and STATUS_NS say.
 *
 * The caller's loop waits meanwhile, so files are read for LOOK_NS at a time: of
 * those known whose turn has not come all but the clock stays as it was; those
 * that are new are read in calls of their own, and counted when they have been.
 */
#include "lowrun.h"
#include "sampler.h"

#include <stdlib.h>

#define READ_SHARE 200          /* stat, io and children of those that have run may take this part of one core's time, */
#define READ_NS 25000000        /* but are read as often as this */
#define READ_ROUND 8            /* as long as that leaves everybody a turn: reading all takes such a part of the time */
#define READ_FIRST_NS 10000     /* of one process, until it was measured */
#define STATUS_NS 200000000     /* its status, for peak and swap: as much again */
#define IDLE_NS 1000000000      /* all of one that has not run, */
#define IDLE_READS 64           /* and so many of these at a tick */
#define LOOK_NS 4000000         /* for so long files of known processes are read in one call, then as long those of new ones */

/* ---- records ---- */

int lr_sampler_flush(struct lr_sampler *s)
{
    size_t done = 0;

    while (s->error == 0 && done < s->used) {
        ssize_t n = write(s->output, s->buffer + done, s->used - done);

        if (n >= 0)
            done += (size_t) n;
        else if (errno != EINTR)
            s->error = errno;
    }
    s->used = 0;
    return -s->error;
}

/* What comes from now on goes to another file; what could not be written to this one is lost. */
void lr_sampler_redirect(struct lr_sampler *s, int output)
{
    lr_sampler_flush(s);
    s->output = output;
    s->error = 0;
}

int lr_sampler_append(struct lr_sampler *s, const void *data, uint32_t size)
{
    if (size > sizeof s->buffer)
        return -EMSGSIZE;
    if (s->used + size > sizeof s->buffer)
        lr_sampler_flush(s);
    memcpy(s->buffer + s->used, data, size);
    s->used += size;
    return -s->error;
}

static void append_record(struct lr_sampler *s, uint16_t kind, const void *body, uint32_t size)
{
    struct lr_sample_record record = { .size = (uint32_t) sizeof record + size, .kind = kind };

    lr_sampler_append(s, &record, sizeof record);
    lr_sampler_append(s, body, size);
}

/* ---- one process ---- */

static int64_t clock_now(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Whether its files are to be read; only some of those that have not run, so that thousands are not all due at once. */
static bool is_due(struct lr_sampler *s, const struct lr_sampled *p)
{
    if (!p->is_read)
        return s->spent_ns < 2 * LOOK_NS;
    if (s->spent_ns >= LOOK_NS)
        return false;
    if (p->is_old)
        return s->now_ns - p->read_ns >= s->gap_ns;
    return s->now_ns - p->read_ns >= IDLE_NS && s->idle_reads++ < IDLE_READS;
}

static int read_files(struct lr_sampler *s, struct lr_sampled *p)
{
    const bool first = !p->is_read;
    uint32_t threads;
    int result;

    if (first && (result = lr_sampled_stat(p)) < 0)
        return result;
    threads = p->threads;
    lr_sampled_children(p, lr_sampler_meet_child, s);
    if (!first && (result = lr_sampled_stat(p)) < 0)
        return result;
    if (p->threads > 1 && threads == 1) /* only its first thread was asked for children */
        lr_sampled_children(p, lr_sampler_meet_child, s);
    if (first || s->now_ns - p->status_ns >= (p->is_status_old ? STATUS_NS : IDLE_NS)) {
        p->status_ns = s->now_ns;
        p->is_status_old = false;
        lr_sampled_status(p);
    }
    p->read_ns = s->now_ns;
    p->is_old = false;
    return lr_sampled_io(p);
}

static void read_process(struct lr_sampler *s, struct lr_sampled *p)
{
    const int ran = lr_sampled_clock(p);
    int64_t began_ns;

    if (ran < 0) {
        p->dead = true;
        return;
    }
    p->is_old |= ran;
    p->is_status_old |= ran;
    s->running += p->is_old;
    if (!is_due(s, p)) {
        s->unread += !p->is_read;
        return;
    }
    began_ns = clock_now(CLOCK_MONOTONIC);
    p->dead = read_files(s, p) < 0;
    s->spent_ns += clock_now(CLOCK_MONOTONIC) - began_ns;
    s->reads++;
}

/* Its own reads and writes, the keeper's, are no part of the tree: it has one thread. */
static void read_root_io(struct lr_sampler *s)
{
    uint64_t own[LR_IO_COUNT];

    s->root_io_known = lr_sampled_io(&s->root) == 0 && s->root.io_known && lr_sampled_own_io(&s->root, own) == 0;
    for (int i = 0; i < LR_IO_COUNT && s->root_io_known; i++)
        s->root_io[i] = s->root.io[i] > own[i] ? s->root.io[i] - own[i] : 0;
}

static void begin_reading(struct lr_sampler *s)
{
    s->reads = s->running = s->idle_reads = s->unread = 0;
    s->spent_ns = 0;
}

/* All that are met, and whom they lead to. */
static void read_all(struct lr_sampler *s)
{
    size_t done = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (; done < s->count; done++)
            if (!s->queue[done]->dead)
                read_process(s, s->queue[done]);
        if (pass == 0)
            lr_sampler_meet_unmet(s);
    }
}

/* How long those that run are left alone, by what reading them took. */
static void plan_reads(struct lr_sampler *s)
{
    int64_t all_ns;

    if (s->reads > 0)
        s->read_ns = (7 * s->read_ns + (uint64_t) s->spent_ns / s->reads) / 8;
    all_ns = (int64_t) (s->read_ns * s->running);
    s->gap_ns = all_ns * READ_SHARE < READ_NS ? all_ns * READ_SHARE : READ_NS;
    if (s->gap_ns < all_ns * READ_ROUND)
        s->gap_ns = all_ns * READ_ROUND;
}

static void read_root(struct lr_sampler *s)
{
    lr_sampled_children(&s->root, lr_sampler_meet_child, s);
    if (lr_sampled_clock(&s->root) > 0 && lr_sampled_stat(&s->root) == 0)
        read_root_io(s);
}

/* ---- the whole tree ---- */

static uint64_t above(uint64_t value, uint64_t floor)
{
    return value > floor ? value : floor;
}

static uint64_t less(uint64_t value, uint64_t base)
{
    return value > base ? value - base : 0;
}

static bool is_seen(const struct lr_sampled *p)
{
    return !p->dead && p->is_read;
}

static void add_process(struct lr_sample_tick *tick, const struct lr_sampled *p)
{
    tick->processes++;
    tick->threads += p->threads;
    tick->cpu_ns += p->cpu_ns + p->children_user_ns + p->children_sys_ns;
    tick->user_ns += p->user_ns + p->children_user_ns;
    tick->sys_ns += p->sys_ns + p->children_sys_ns;
    tick->rss_kib += p->rss_kib;
    tick->peak_kib = above(tick->peak_kib, p->peak_kib);
    tick->swap_kib += (int64_t) p->swap_kib;
    if (!p->io_known)
        tick->flags &= ~(uint32_t) LR_SAMPLE_IO_KNOWN;
    for (int i = 0; i < LR_IO_COUNT; i++)
        tick->io[i] += p->io[i];
}

static void add_up(struct lr_sampler *s, struct lr_sample_tick *tick)
{
    uint64_t user_ns = less(s->root.children_user_ns, s->base.children_user_ns) + s->lost_user_ns;
    uint64_t sys_ns = less(s->root.children_sys_ns, s->base.children_sys_ns) + s->lost_sys_ns;

    tick->flags = s->root_io_known || s->root.pid == 0 ? LR_SAMPLE_IO_KNOWN : 0;
    tick->peak_kib = s->last.peak_kib;
    tick->cpu_ns = user_ns + sys_ns - s->lost_user_ns - s->lost_sys_ns + s->lost_cpu_ns;
    tick->user_ns = user_ns;
    tick->sys_ns = sys_ns;
    for (int i = 0; i < LR_IO_COUNT; i++)
        tick->io[i] = less(s->root_io[i], s->base_io[i]) + s->lost_io[i];
    for (size_t i = 0; i < s->count; i++)
        if (is_seen(s->queue[i]))
            add_process(tick, s->queue[i]);
    tick->cpu_ns = above(tick->cpu_ns, s->last.cpu_ns);
    tick->user_ns = above(tick->user_ns, s->last.user_ns);
    tick->sys_ns = above(tick->sys_ns, s->last.sys_ns);
    for (int i = 0; i < LR_IO_COUNT; i++)
        tick->io[i] = above(tick->io[i], s->last.io[i]);
}

static void write_process(struct lr_sampler *s, const struct lr_sampled *p)
{
    struct lr_sample_process row = {
        .pid = p->pid, .ppid = p->ppid, .threads = p->threads, .state = p->state,
        .start_ns = (int64_t) (p->start_ticks * (1000000000 / (uint64_t) sysconf(_SC_CLK_TCK))),
        .cpu_ns = p->cpu_ns, .user_ns = p->user_ns, .sys_ns = p->sys_ns, .rss_kib = p->rss_kib,
    };

    memcpy(row.name, p->name, sizeof row.name);
    append_record(s, LR_SAMPLE_PROCESS, &row, sizeof row);
}

/* ---- for Python ---- */

int lr_sampler_create(int output, struct lr_sampler **ret_sampler)
{
    struct lr_sampler *s = calloc(1, sizeof *s);

    if (s == NULL)
        return -ENOMEM;
    s->output = output;
    s->read_ns = READ_FIRST_NS;
    *ret_sampler = s;
    return 0;
}

/* From now on the tree below `keeper`, which has waited for nobody of it. */
int lr_sampler_watch(struct lr_sampler *s, int keeper)
{
    int result;

    lr_sampled_init(&s->root, keeper, 0);
    s->count = 0;
    s->tick++;
    if ((result = lr_sampled_children(&s->root, lr_sampler_meet_child, s)) < 0 || (result = lr_sampled_stat(&s->root)) < 0)
        return result;
    lr_sampled_clock(&s->root);
    read_root_io(s);
    s->base = s->root;
    memcpy(s->base_io, s->root_io, sizeof s->base_io);
    return 0;
}

/* One look. Returns 1 as long as there are new ones that were not read: lr_sampler_read_more. */
int lr_sampler_tick(struct lr_sampler *s, int64_t time_ns, uint64_t late_ns, uint32_t missed)
{
    struct lr_sample_tick tick = { .time_ns = time_ns, .late_ns = late_ns, .missed = missed };

    s->now_ns = time_ns;
    s->tick++;
    s->count = 0;
    if (s->root.pid != 0)
        read_root(s);
    begin_reading(s);
    read_all(s);
    plan_reads(s);
    add_up(s, &tick);
    tick.pss_kib = lr_pss_measure(&s->pss, &tick, s->queue, s->count);
    append_record(s, LR_SAMPLE_TICK, &tick, sizeof tick);
    for (size_t i = 0; i < s->count; i++)
        if (is_seen(s->queue[i]))
            write_process(s, s->queue[i]);
    lr_sampler_forget_dead(s);
    s->last = tick;
    return s->error != 0 ? -s->error : s->unread > 0;
}

/* Goes on with those that are new. Returns 1 as long as there are more, as `lr_sampler_tick`. */
int lr_sampler_read_more(struct lr_sampler *s)
{
    begin_reading(s);
    for (size_t i = 0; i < s->count; i++)
        if (!s->queue[i]->dead && !s->queue[i]->is_read)
            read_process(s, s->queue[i]);
    return s->unread > 0;
}

void lr_sampler_last(const struct lr_sampler *s, struct lr_sample_tick *ret_tick)
{
    *ret_tick = s->last;
}
