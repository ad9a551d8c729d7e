/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sampler of a tree of processes: its binary records, which
 * lowrun/samples/records.py reads (every record is a multiple of 8 bytes), and
 * what its C files share. sampler_due.c knows when to look, sampler.c walks
 * the tree, sampler_table.c knows its processes, sampler_files.c reads /proc, sampler_pss.c weighs memory.
 */
#ifndef LR_SAMPLER_H
#define LR_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum lr_sample_kind {
    LR_SAMPLE_TICK = 1,     /* struct lr_sample_tick; the processes seen at it follow */
    LR_SAMPLE_PROCESS = 2,  /* struct lr_sample_process */
};

struct lr_sample_record {
    uint32_t size;          /* of the whole record */
    uint16_t kind;          /* enum lr_sample_kind; greater ones are Python's */
    uint16_t flags;         /* 0 */
};

/* As /proc/PID/io has them, in its order of bytes and calls: see proc_pid_io(5). */
enum { LR_IO_READ, LR_IO_WRITTEN, LR_IO_READS, LR_IO_WRITES, LR_IO_STORAGE_READ, LR_IO_STORAGE_WRITTEN,
       LR_IO_CANCELLED, LR_IO_COUNT };

#define LR_SAMPLE_IO_KNOWN 1

struct lr_sample_tick {
    int64_t time_ns;        /* since the run began */
    uint64_t late_ns;       /* after it was due */
    uint32_t missed;        /* ticks left out before it */
    uint32_t processes, threads;
    uint32_t flags;         /* LR_SAMPLE_* */
    uint64_t cpu_ns, user_ns, sys_ns; /* of all that the tree had until now */
    uint64_t rss_kib;       /* of all that are alive */
    uint64_t peak_kib;      /* of the largest until now */
    int64_t swap_kib, pss_kib; /* -1: not known */
    uint64_t io[LR_IO_COUNT]; /* of all that the tree had until now; with LR_SAMPLE_IO_KNOWN */
};

#define LR_SAMPLE_NAME 16

struct lr_sample_process {
    int32_t pid, ppid;
    uint32_t threads;
    uint8_t state;
    uint8_t pad[3];
    int64_t start_ns;       /* CLOCK_BOOTTIME */
    uint64_t cpu_ns, user_ns, sys_ns; /* its own threads */
    uint64_t rss_kib;
    char name[LR_SAMPLE_NAME]; /* NULs behind it */
};

/* ---- sampler_files.c ---- */

enum lr_process_file { LR_FILE_CHILDREN, LR_FILE_STAT, LR_FILE_IO, LR_FILE_STATUS, LR_FILE_COUNT };

/* A process of the tree and what was last read of it. */
struct lr_sampled {
    struct lr_sampled *next;        /* of the same slot */
    uint64_t tick;                  /* the last one that it was met at */
    int64_t read_ns, status_ns;     /* when its files, and its status, were last read, */
    bool is_old, is_status_old;     /* and whether it has run since */
    int files[LR_FILE_COUNT];       /* -1: not open */
    bool kept;                      /* its files stay open between ticks */
    bool dead, is_read, io_known;
    bool ignores_children;          /* SIGCHLD is ignored: its children are waited for by nobody */
    int32_t pid, ppid;
    clockid_t clock;
    uint32_t threads;
    uint8_t state;
    char name[LR_SAMPLE_NAME];
    uint64_t start_ticks;
    uint64_t cpu_ns, user_ns, sys_ns;
    uint64_t children_user_ns, children_sys_ns; /* of those it has waited for, and theirs */
    uint64_t rss_kib, peak_kib;
    uint64_t swap_kib;
    uint64_t io[LR_IO_COUNT];       /* its own and that of those it has waited for */
};

void lr_sampled_init(struct lr_sampled *process, int32_t pid, int32_t ppid);
void lr_sampled_close(struct lr_sampled *process);
int lr_sampled_clock(struct lr_sampled *process);
int lr_sampled_stat(struct lr_sampled *process);
int lr_sampled_io(struct lr_sampled *process);
int lr_sampled_own_io(const struct lr_sampled *process, uint64_t *ret_io);
int lr_sampled_status(struct lr_sampled *process);
int64_t lr_sampled_pss(const struct lr_sampled *process);

/* ---- sampler_pss.c ---- */

struct lr_pss_budget {
    int64_t time_ns;                /* when it was last measured, */
    uint64_t unit_ns;               /* and what a unit cost; 0: not measured yet */
};

int64_t lr_pss_measure(struct lr_pss_budget *budget, const struct lr_sample_tick *tick,
                       struct lr_sampled *const *processes, size_t count);

/* Calls `visit` for each child. */
typedef void (*lr_child_visitor)(void *context, int32_t parent, int32_t child);
int lr_sampled_children(struct lr_sampled *process, lr_child_visitor visit, void *context);

/* ---- the tree, sampler.c and sampler_table.c ---- */

/* When looks are due, and those that were: sampler_due.c. */
struct lr_sampler_plan {
    int timer;                      /* a timerfd, the caller's */
    int64_t began_ns;               /* CLOCK_MONOTONIC; times below are from there on */
    int64_t interval_ns;
    int64_t due_ns;                 /* the next one */
    int64_t rest_until_ns;          /* none before */
    int64_t at_ns, took_ns;         /* the last one, and its CPU time */
    int64_t ask_ns;                 /* from then on the loop is to hear of a look */
    uint32_t missed;                /* since the last one */
};

/* What the loop hears of a look. */
enum {
    LR_SAMPLER_MORE = 1,            /* some that are new were not read: lr_sampler_go_on */
    LR_SAMPLER_BROKEN = 2,          /* records cannot be written any more: lr_sampler_flush tells why */
    LR_SAMPLER_ASKED = 4,           /* it is as late as lr_sampler_ask has it */
};

#define LR_SAMPLER_SLOTS 1024
#define LR_SAMPLER_BUFFER 65536

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
    struct lr_sampler_plan plan;
    struct lr_sample_tick last;     /* sums never fall below */
    struct lr_pss_budget pss;
    struct lr_sampled *slots[LR_SAMPLER_SLOTS];
    struct lr_sampled **queue;      /* of this tick, parents first */
    size_t count, room;
    uint32_t idle_reads;            /* at this tick, */
    uint32_t reads, running;        /* all reads, and how many had run */
    uint64_t read_ns;               /* what reading one process costs, */
    int64_t gap_ns;                 /* and the time from one to the next */
    int64_t spent_ns;               /* in this call, with reading files */
    uint32_t unread;                /* are new, and have not had their turn */
    size_t used;
    char buffer[LR_SAMPLER_BUFFER];
};

int lr_sampler_tick(struct lr_sampler *s, int64_t time_ns, uint64_t late_ns, uint32_t missed);
int lr_sampler_read_more(struct lr_sampler *s);
void lr_sampler_meet_child(void *sampler, int32_t parent, int32_t child);
void lr_sampler_meet_unmet(struct lr_sampler *s);
void lr_sampler_forget_dead(struct lr_sampler *s);

#endif
