/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tracer's C files share; Python sees lowrun.h alone. All of it
 * belongs to the tracer while it runs, but for `lock`, `seized` and `stopping`.
 */
#ifndef LR_TRACER_H
#define LR_TRACER_H

#include "lowrun.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/resource.h>

#define LR_TABLE_SIZE 4096             /* buckets; ids are handed out in sequence, so they spread */
#define LR_TOMBS 65536
#define LR_BUFFER_SIZE (1024 * 1024)
#define LR_NO_DEVICES 128
#define LR_RECORD_MAX (512 * 1024)     /* no record is longer: capture stops at it */

/* One thread group: what it used is added up when its leader is reaped. */
struct lr_process {
    struct lr_process *next;           /* in the bucket */
    uint32_t tgid;
    uint32_t parent;                   /* tgid of the process that made it; 0: unknown */
    bool is_parent;                    /* it made processes */
    uint32_t threads;                  /* of it, in the table of tasks */
    uint64_t cpu_ns;                   /* its own, sampled when a thread of it exits */
    uint64_t children_user_ns;         /* of its children that have died, with theirs */
    uint64_t children_sys_ns;
};

/* What can still become of a descriptor. */
enum lr_fd_kind {
    LR_FD_NONE = 0,                    /* closed, or not known */
    LR_FD_PLAIN,                       /* nothing: what was said of it holds for its life */
    LR_FD_PATH,                        /* the path may be removed or renamed, */
    LR_FD_SOCKET,                      /* it may get an address, */
    LR_FD_PROCESS,                     /* the process that this pidfd is of may end */
};

struct lr_fd {
    uint64_t parts;                    /* PATH: a bit for each of its components; SOCKET: 1 when calls alone change it */
    uint32_t last;                     /* PATH: hash of the last of them; PROCESS: the pid; SOCKET: `addressed` then */
    uint32_t kind;                     /* enum lr_fd_kind */
};

/* A table of descriptors, for all tasks that share it. */
struct lr_files {
    struct lr_files *next, **link;
    uint32_t refs;
    uint32_t tid;                      /* a task that has it; 0: look for one */
    uint32_t size;
    struct lr_fd *fds;
};

/* A working directory, likewise. */
struct lr_directory {
    uint32_t refs;
    struct lr_fd is;
};

/* What is done to one call. */
struct lr_tamper {
    bool replaced;                     /* at the exit `value` becomes the result */
    uint16_t marks;                    /* LR_EXIT_* */
    int signo;                         /* sent when the present stop ends */
    int64_t value;
    uint64_t pause_ns;                 /* before the present stop ends, */
    uint64_t exit_pause_ns;            /* or that of the exit */
};

/* One thread. */
struct lr_task {
    struct lr_task *next;              /* in the bucket */
    uint32_t tid;
    uint32_t tgid;                     /* 0: not known yet */
    int held;                          /* status of its first stop while its creator's is awaited; 0: it goes */
    bool unannounced;                  /* it goes, though its creator has not reported it */
    bool exiting;                      /* it has been seen in PTRACE_EVENT_EXIT */
    bool at_entry;                     /* its last stop was a call's entry: a filter's stop is the same call's */
    bool entered;                      /* its ENTER is recorded, its EXIT is due */
    uint64_t entered_ns;               /* CLOCK_MONOTONIC at the entry stop */
    uint64_t nr;                       /* as at entry, */
    uint64_t like;                     /* the same, or what a foreign call is like, */
    uint64_t args[6];                  /* for what is done at the exit */
    const struct lr_capture_row *row;  /* NULL: nothing to copy */
    struct lr_files *files;            /* NULL: not known yet */
    struct lr_directory *directory;
    struct lr_tamper tamper;           /* with the call that it is in */
    bool hooked;                       /* its exit is for a hook */
    uint32_t *counts;                  /* of its calls that are injected into, by number; NULL: none yet */
    uint64_t due_ns;                   /* CLOCK_MONOTONIC: it stays in its stop until then; 0: it goes */
    int due_signo;                     /* with this signal */
};

struct lr_tracer {
    struct lr_tracer_options options;
    pid_t owner;                       /* the process that lr_tracer_run was called in */
    sem_t seized;                      /* posted when `seize_result` is there */
    int seize_result;

    /* who is traced */
    struct lr_task *tasks[LR_TABLE_SIZE];
    uint32_t count;                    /* of tasks */
    uint32_t exiting;                  /* of those, seen in PTRACE_EVENT_EXIT */
    uint32_t held;                     /* of those, waiting for their creator's stop */
    uint32_t delayed;                  /* of those, staying in a stop for a while */
    struct lr_process *processes[LR_TABLE_SIZE];
    uint32_t *tombs;                   /* tids that died unannounced, by tid % LR_TOMBS */
    uint32_t root;                     /* the command's first process */
    bool root_stopped;                 /* it has been seen in its first stop */
    bool recording;                    /* its first execve has succeeded; or it was attached to */
    bool sandboxed;                    /* the command has a filter of its own, which can hide calls from ours */
    bool filtered;                     /* a seccomp filter says where tracees stop */
    pthread_mutex_t lock;              /* of `tasks` against lr_tracer_abort, and of `pid` */
    pid_t pid;                         /* of the tracer's process, 0 before and after */
    volatile bool stopping;            /* kill all, */
    volatile bool leaving;             /* or let go of all */
    volatile bool in_python;           /* the tracer's process is called back */
    struct lr_attached *attached;      /* processes to attach to; NULL: a command of ours */
    uint32_t nattached;
    bool counts_io;

    /* what descriptors are */
    struct lr_files *files;            /* all tables */
    struct lr_socket_answer *sockets;  /* by inode number % LR_SOCKETS; NULL: none was asked for */
    uint64_t no_devices[LR_NO_DEVICES]; /* hashes of paths that are none */
    bool asking;                       /* some descriptor may have changed when it is used */
    uint32_t asked;                    /* calls since then */
    uint32_t addressed;                /* entries and exits of calls that can give a socket an address */

    /* waiting */
    bool may_poll;
    bool polling;                      /* now; or sleeping */
    struct {
        int fd;                        /* of /dev/cpu_dma_latency; -1: not open */
        timer_t timer;
        bool held;                     /* asked for: the processors stay awake */
    } latency;
    uint32_t fruitless;                /* looks for a second stop in a row that found none */
    uint32_t passed_by;
    uint32_t waits;                    /* in this window */
    uint64_t window_ns;                /* what they took */
    bool trying;                       /* this window is in the way that had been slower */
    uint32_t trial_gap;                /* windows between two such, */
    uint32_t until_trial;              /* and how many are left */
    uint64_t cost_ns[2];               /* of the latest window, by `polling` */

    /* records */
    pthread_mutex_t writing;           /* of the buffers against lr_tracer_take */
    sem_t room;                        /* posted when they were taken */
    uint8_t *buffer;
    uint8_t *taken;                    /* the other one, while its records are read; NULL: records go to a file */
    bool told;                         /* the reader has been woken since it took the last */
    uint32_t used;
    uint32_t open;                     /* offset of the record being written, */
    volatile bool busy;                /* as long as one is: the tracer has `writing` */
    uint32_t end;                      /* of what was put in last, without its padding */
    int write_error;                   /* nothing is recorded any more */
    uint64_t written;                  /* to the present output */
    int gap_error;                     /* some records were passed over: the last reason */
    bool has_gap;                      /* since descriptors were looked at last */

    struct lr_tracer_usage usage;
};

struct lr_stop {
    pid_t tid;
    int status;
    bool overtaken;                    /* by a later one of the same tid, in the same batch */
    bool weighed;                      /* `used` is filled in */
    struct rusage used;
};

/* ---- tracer.c ---- */
#define LR_TRACE_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE \
                          | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT)
int lr_tracer_seize(struct lr_tracer *t);
void lr_tracer_follow(struct lr_tracer *t);
void lr_tracer_release(struct lr_tracer *t);
uint32_t lr_event_message(uint32_t tid);

/* ---- tracer_exec.c ---- */
void lr_exec(struct lr_tracer *t, struct lr_task *task);

void lr_resume(const struct lr_tracer *t, const struct lr_task *task, int signo);

/* ---- tracer_tamper.c ---- */
#define LR_ERRNO_MAX 4095
struct ptrace_syscall_info;
void lr_tamper_begin(const struct lr_tracer *t, struct lr_task *task);
void lr_tamper_enter(struct lr_tracer *t, struct lr_task *task);
void lr_tamper_leave(struct lr_task *task, struct ptrace_syscall_info *info);
void lr_tamper_refuse(const struct lr_task *task);
void lr_tamper_replace(struct lr_task *task, int64_t nr, int64_t value);
void lr_tamper_result(const struct lr_task *task, struct ptrace_syscall_info *info, int64_t value);
int lr_tamper_go(struct lr_tracer *t, struct lr_task *task);
void lr_tamper_undelay(struct lr_tracer *t, struct lr_task *task);
void lr_tamper_awake(struct lr_tracer *t);

/* ---- tracer_hooks.c ---- */
struct lr_record *lr_hook_prepare(struct lr_tracer *t, struct lr_task *task);
void lr_hook_enter(struct lr_tracer *t, struct lr_task *task, struct lr_record *record);
void lr_hook_leave(struct lr_tracer *t, struct lr_task *task, struct ptrace_syscall_info *info);

/* ---- tracer_attach.c ---- */
int lr_attach(struct lr_tracer *t);
void lr_leave(struct lr_tracer *t);
void lr_leave_task(struct lr_tracer *t, struct lr_task *task, int status);

/* ---- tracer_wait.c ---- */
#define LR_BATCH 32
void lr_stops_prepare(struct lr_tracer *t);
pid_t lr_stop_wait(const struct lr_tracer *t, pid_t tid, int flags, struct lr_stop *ret_stop);
int lr_stops_await(struct lr_tracer *t, struct lr_stop stops[LR_BATCH], uint64_t ns);
int lr_stops_wait(struct lr_tracer *t, struct lr_stop stops[LR_BATCH]);

/* ---- tracer_latency.c ---- */
void lr_latency_hold(struct lr_tracer *t);
void lr_latency_release(struct lr_tracer *t);
void lr_latency_bound(const struct lr_tracer *t);
void lr_latency_end(struct lr_tracer *t);

/* ---- tracer_tasks.c ---- */
struct lr_task *lr_task_find(struct lr_tracer *t, uint32_t tid);
struct lr_task *lr_task_add(struct lr_tracer *t, uint32_t tid);
void lr_task_settle(struct lr_tracer *t, struct lr_task *task, uint32_t parent);
void lr_task_rename(struct lr_tracer *t, struct lr_task *task, uint32_t tid);
void lr_task_remove(struct lr_tracer *t, struct lr_task *task);
void lr_tasks_end(struct lr_tracer *t, uint32_t tgid);
void lr_tomb_put(struct lr_tracer *t, uint32_t tid);
bool lr_tomb_take(struct lr_tracer *t, uint32_t tid);
void lr_tasks_kill(struct lr_tracer *t);
void lr_tasks_free(struct lr_tracer *t);

/* ---- tracer_usage.c ---- */
void lr_process_add(struct lr_tracer *t, uint32_t tgid, uint32_t parent);
struct lr_process *lr_process_find(const struct lr_tracer *t, uint32_t tgid);
void lr_process_adopt(struct lr_tracer *t, uint32_t tgid, uint32_t parent);
void lr_process_sample(struct lr_tracer *t, uint32_t tgid);
void lr_process_end(struct lr_tracer *t, uint32_t tgid, const struct rusage *used);
void lr_processes_free(struct lr_tracer *t);

/* ---- tracer_io.c ---- */
void lr_io_sample(struct lr_tracer *t, const struct lr_task *task);

/* ---- tracer_records.c ---- */
uint64_t lr_clock_ns(clockid_t clock);
void *lr_record_begin(struct lr_tracer *t, const struct lr_task *task, int kind, size_t body);
void lr_record_end(struct lr_tracer *t);
void lr_records_abandon(struct lr_tracer *t);
bool lr_records_turn(struct lr_tracer *t);
void lr_record_drop(struct lr_tracer *t);
void lr_record_restart(struct lr_tracer *t);
size_t lr_record_room(const struct lr_tracer *t);
void *lr_record_extend(struct lr_tracer *t, size_t len);
void lr_record_shrink(struct lr_tracer *t, void *end);

/* ---- tracer_capture.c ---- */
uint64_t lr_foreign_like(uint64_t nr);
const struct lr_capture_row *lr_capture_row(const struct lr_tracer *t, uint64_t nr, bool foreign,
                                            const uint64_t args[6]);
bool lr_writes_failing(int64_t rval);
uint32_t lr_capture(struct lr_tracer *t, const struct lr_task *task, const struct lr_capture_cell *cells,
                    const int64_t *rval);

/* ---- tracer_files.c ---- */
#define LR_FDS_MAX 65536               /* of higher numbers no change is noticed */
void lr_files_inherit(struct lr_tracer *t, struct lr_task *child, const struct lr_task *parent, uint64_t flags);
void lr_files_unshare(struct lr_tracer *t, struct lr_task *task, uint64_t flags);
void lr_files_release(struct lr_task *task);
void lr_files_forget(struct lr_tracer *t);
bool lr_files_prepare(struct lr_tracer *t, struct lr_task *task);
struct lr_fd *lr_files_at(const struct lr_task *task, int fd);
void lr_files_set(const struct lr_task *task, int fd, const struct lr_fd *is);
void lr_files_clear(const struct lr_task *task, uint32_t first, uint32_t last);
struct lr_task *lr_files_user(struct lr_tracer *t, const struct lr_files *files);

/* ---- tracer_sockets.c ---- */
#define LR_SOCKETS 1024
#define LR_SOCKET_NAME 64
#define LR_SOCKET_MAX 240              /* longest answer: that of a local socket with a name of 108 bytes */
int lr_socket_describe(struct lr_tracer *t, const char *path, uint64_t inode, char *out, uint32_t *ret_len);

/* ---- tracer_names.c ---- */
int lr_name_record(struct lr_tracer *t, struct lr_task *task, int fd);
void lr_name_closed(struct lr_tracer *t, const struct lr_task *task, int fd);
void lr_name_ask(struct lr_tracer *t, struct lr_task *task, int fd);
bool lr_names_asking(const struct lr_tracer *t);
void lr_names_removed(struct lr_tracer *t, const char *path, bool is_file);
void lr_names_moved(struct lr_tracer *t, const char *from, const char *to);

/* ---- tracer_visits.c ---- */
typedef void lr_visit(struct lr_tracer *t, struct lr_task *task, int fd);
size_t lr_memory_read(const struct lr_task *task, uint64_t address, void *out, size_t len);
void lr_visit_arguments(struct lr_tracer *t, struct lr_task *task, lr_visit *fn);
void lr_visit_pair(struct lr_tracer *t, struct lr_task *task, uint64_t address, lr_visit *fn);
void lr_visit_polled(struct lr_tracer *t, struct lr_task *task, lr_visit *fn);
void lr_visit_selected(struct lr_tracer *t, struct lr_task *task, lr_visit *fn);
void lr_visit_message(struct lr_tracer *t, struct lr_task *task, uint64_t address, lr_visit *fn);
void lr_visit_messages(struct lr_tracer *t, struct lr_task *task, uint64_t count, lr_visit *fn);

/* ---- tracer_paths.c ---- */
void lr_paths_before(struct lr_tracer *t, struct lr_task *task);
void lr_paths_after(struct lr_tracer *t, struct lr_task *task, int64_t rval, bool is_error);
void lr_paths_list(struct lr_tracer *t, struct lr_task *task);
void lr_paths_exec(struct lr_tracer *t, struct lr_task *task);
uint64_t lr_clone_flags(const struct lr_task *task);

#endif
