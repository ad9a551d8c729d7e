/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Samples of the tree below a keeper: one call for each tick.
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
 * every tick, the files no more often than READ_NS and STATUS_NS say.
 */
#include "lowrun.h"
#include "sampler.h"

#include <stdlib.h>

#define SLOTS 1024
#define BUFFER_SIZE 65536
#define READ_NS 15000000        /* stat, io and children of a process that has run: some 10 microseconds */
#define STATUS_NS 90000000      /* its status, for peak and swap: as much again */
#define IDLE_NS 1000000000      /* all of one that has not run, */
#define IDLE_READS 64           /* and so many of these at a tick */
#define PSS_SHARE 400           /* PSS may take this part of one core's time, */
#define PSS_LONGEST_NS 10000000 /* and no longer than this at once */
#define PSS_FIRST_NS 10         /* of a unit, until it was measured; see weigh */
#define PSS_PROCESS 2000        /* what a process costs beside its memory, in units */

struct lr_sampler {
    int output;
    int error;                      /* why nothing is recorded any more: an errno, or 0 */
    uint64_t tick;
    int64_t now_ns;
    struct lr_sampled root;         /* the keeper; pid 0: not known yet */
    struct lr_sampled base;         /* the same before the run */
    uint64_t root_io[LR_IO_COUNT];  /* of those that the keeper has waited for */
    uint64_t base_io[LR_IO_COUNT];
    bool root_io_known;
    uint64_t lost_user_ns, lost_sys_ns, lost_cpu_ns, lost_io[LR_IO_COUNT];
    struct lr_sample_tick last;     /* sums never fall below */
    int64_t pss_time_ns;            /* when PSS was last measured, */
    uint64_t pss_unit_ns;           /* and what a unit cost */
    struct lr_sampled *slots[SLOTS];
    struct lr_sampled **queue;      /* of this tick, parents first */
    size_t count, room;
    uint32_t idle_reads;            /* at this tick */
    size_t used;
    char buffer[BUFFER_SIZE];
};

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

/* ---- the table of processes ---- */

static struct lr_sampled *find(const struct lr_sampler *s, int32_t pid)
{
    struct lr_sampled *process = s->slots[(uint32_t) pid % SLOTS];

    while (process != NULL && process->pid != pid)
        process = process->next;
    return process;
}

/* Puts it into this tick's queue, once. */
static void meet(struct lr_sampler *s, struct lr_sampled *process)
{
    if (process->tick == s->tick)
        return;
    if (s->count == s->room) {
        size_t room = s->room == 0 ? 64 : s->room * 2;
        struct lr_sampled **queue = realloc(s->queue, room * sizeof *queue);

        if (queue == NULL)
            return;
        s->queue = queue;
        s->room = room;
    }
    process->tick = s->tick;
    s->queue[s->count++] = process;
}

static void meet_child(void *context, int32_t parent, int32_t child)
{
    struct lr_sampler *s = context;
    struct lr_sampled *process = find(s, child);

    if (process == NULL) {
        struct lr_sampled **slot = &s->slots[(uint32_t) child % SLOTS];

        process = malloc(sizeof *process);
        if (process == NULL)
            return;
        lr_sampled_init(process, child, parent);
        process->next = *slot;
        *slot = process;
    }
    process->ppid = parent;
    meet(s, process);
}

static void meet_unmet(struct lr_sampler *s)
{
    for (size_t i = 0; i < SLOTS; i++)
        for (struct lr_sampled *process = s->slots[i]; process != NULL; process = process->next)
            meet(s, process);
}

/* What it used is its parent's, if its parent waits for its children; if both
 * died, whose it is cannot be told, and it is left to those that waited. */
static void inherit(struct lr_sampler *s, const struct lr_sampled *dead)
{
    const struct lr_sampled *parent = find(s, dead->ppid);

    if (parent == NULL || parent->dead || !parent->ignores_children || !dead->is_read)
        return;
    s->lost_cpu_ns += dead->cpu_ns + dead->children_user_ns + dead->children_sys_ns;
    s->lost_user_ns += dead->user_ns + dead->children_user_ns;
    s->lost_sys_ns += dead->sys_ns + dead->children_sys_ns;
    for (int i = 0; i < LR_IO_COUNT && dead->io_known; i++)
        s->lost_io[i] += dead->io[i];
}

static void forget_dead(struct lr_sampler *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->queue[i]->dead)
            inherit(s, s->queue[i]);
    for (size_t i = 0; i < SLOTS; i++)
        for (struct lr_sampled **at = &s->slots[i], *process; (process = *at) != NULL;) {
            if (process->dead) {
                *at = process->next;
                lr_sampled_close(process);
                free(process);
            } else {
                at = &process->next;
            }
        }
}

/* ---- one process ---- */

/* Whether its files are to be read; only some of those that have not run, so that thousands are not all due at once. */
static bool is_due(struct lr_sampler *s, const struct lr_sampled *p)
{
    if (!p->is_read)
        return true;
    if (p->is_old)
        return s->now_ns - p->read_ns >= READ_NS;
    return s->now_ns - p->read_ns >= IDLE_NS && s->idle_reads++ < IDLE_READS;
}

static int read_process(struct lr_sampler *s, struct lr_sampled *p)
{
    const bool first = !p->is_read;
    const int ran = lr_sampled_clock(p);
    uint32_t threads;
    int result;

    if (ran < 0)
        return ran;
    p->is_old |= ran;
    p->is_status_old |= ran;
    if (!is_due(s, p))
        return 0;
    if (first && (result = lr_sampled_stat(p)) < 0)
        return result;
    threads = p->threads;
    lr_sampled_children(p, meet_child, s);
    if (!first && (result = lr_sampled_stat(p)) < 0)
        return result;
    if (p->threads > 1 && threads == 1) /* only its first thread was asked for children */
        lr_sampled_children(p, meet_child, s);
    if (first || s->now_ns - p->status_ns >= (p->is_status_old ? STATUS_NS : IDLE_NS)) {
        p->status_ns = s->now_ns;
        p->is_status_old = false;
        lr_sampled_status(p);
    }
    p->read_ns = s->now_ns;
    p->is_old = false;
    return lr_sampled_io(p);
}

/* Its own reads and writes, the keeper's, are no part of the tree: it has one thread. */
static void read_root_io(struct lr_sampler *s)
{
    uint64_t own[LR_IO_COUNT];

    s->root_io_known = lr_sampled_io(&s->root) == 0 && s->root.io_known && lr_sampled_own_io(&s->root, own) == 0;
    for (int i = 0; i < LR_IO_COUNT && s->root_io_known; i++)
        s->root_io[i] = s->root.io[i] > own[i] ? s->root.io[i] - own[i] : 0;
}

static void read_root(struct lr_sampler *s)
{
    lr_sampled_children(&s->root, meet_child, s);
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

/* The time that PSS takes goes with the memory that is mapped and with the number of processes. */
static uint64_t weigh(const struct lr_sample_tick *tick)
{
    return tick->rss_kib + (uint64_t) tick->processes * PSS_PROCESS;
}

static void measure_pss(struct lr_sampler *s, struct lr_sample_tick *tick)
{
    uint64_t units = weigh(tick), cost = units * s->pss_unit_ns;
    struct timespec before, after;
    int64_t sum = 0, pss;

    tick->pss_kib = -1;
    if (cost > PSS_LONGEST_NS || (int64_t) cost > (s->now_ns - s->pss_time_ns) / PSS_SHARE)
        return;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    for (size_t i = 0; i < s->count && sum >= 0; i++) {
        if (s->queue[i]->dead || s->queue[i]->state == 'Z')
            continue;
        pss = lr_sampled_pss(s->queue[i]);
        if (pss != -ESRCH)      /* it has ended */
            sum = pss < 0 ? pss : sum + pss;
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    tick->pss_kib = sum < 0 ? -1 : sum;
    s->pss_time_ns = s->now_ns;
    if (units > 0)
        s->pss_unit_ns = ((uint64_t) (after.tv_sec - before.tv_sec) * 1000000000
                          + (uint64_t) (after.tv_nsec - before.tv_nsec)) / units + 1;
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
        if (!s->queue[i]->dead)
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
    s->pss_unit_ns = PSS_FIRST_NS;
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
    if ((result = lr_sampled_children(&s->root, meet_child, s)) < 0 || (result = lr_sampled_stat(&s->root)) < 0)
        return result;
    lr_sampled_clock(&s->root);
    read_root_io(s);
    s->base = s->root;
    memcpy(s->base_io, s->root_io, sizeof s->base_io);
    return 0;
}

int lr_sampler_tick(struct lr_sampler *s, int64_t time_ns, uint64_t late_ns, uint32_t missed)
{
    struct lr_sample_tick tick = { .time_ns = time_ns, .late_ns = late_ns, .missed = missed };
    size_t looked = 0;

    s->now_ns = time_ns;
    s->tick++;
    s->count = s->idle_reads = 0;
    if (s->root.pid != 0)
        read_root(s);
    for (int pass = 0; pass < 2; pass++) {
        for (; looked < s->count; looked++)
            if (!s->queue[looked]->dead && read_process(s, s->queue[looked]) < 0)
                s->queue[looked]->dead = true;
        if (pass == 0)
            meet_unmet(s);
    }
    add_up(s, &tick);
    measure_pss(s, &tick);
    append_record(s, LR_SAMPLE_TICK, &tick, sizeof tick);
    for (size_t i = 0; i < s->count; i++)
        if (!s->queue[i]->dead)
            write_process(s, s->queue[i]);
    forget_dead(s);
    s->last = tick;
    return -s->error;
}

void lr_sampler_last(const struct lr_sampler *s, struct lr_sample_tick *ret_tick)
{
    *ret_tick = s->last;
}

/* Lets go of all that it keeps open. */
void lr_sampler_free(struct lr_sampler *s)
{
    for (size_t i = 0; i < SLOTS; i++)
        while (s->slots[i] != NULL) {
            struct lr_sampled *process = s->slots[i];

            s->slots[i] = process->next;
            lr_sampled_close(process);
            free(process);
        }
    if (s->root.pid != 0)
        lr_sampled_close(&s->root);
    free(s->queue);
    free(s);
}
