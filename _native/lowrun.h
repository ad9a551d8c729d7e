/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the C files of lowrun._native share. A function is lr_<noun>_<verb>,
 * returns >= 0 or -errno, writes results through ret_ parameters and never
 * prints. Python is called back for hooks and for the engine "python" alone. Python owns every descriptor.
 */
#ifndef LR_LOWRUN_H
#define LR_LOWRUN_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "records.h"

/* ---- waiting: poller.c ---- */
struct lr_ready {
    uint64_t token;      /* what the source was added with */
    uint32_t events;     /* EPOLLIN, ... */
    uint32_t pad;
};
int lr_poller_create(void);
int lr_poller_add(int poller, int fd, uint32_t events, uint64_t token);
int lr_poller_modify(int poller, int fd, uint32_t events, uint64_t token);
int lr_poller_remove(int poller, int fd);
struct lr_handler {
    uint64_t token;
    uint32_t (*handle)(void *context); /* returns what the loop is to hear as the source's events; 0: nothing */
    void *context;
};
int lr_poller_wait(int poller, const struct lr_handler *handlers, int handler_count, struct lr_ready *ret_ready,
                   int count, int timeout_ms);

/* ---- what can be waited for: sources.c ---- */
int lr_timer_create(void);
int lr_timer_set(int fd, int64_t after_ns, int64_t every_ns);
int lr_counter_create(void);
int lr_counter_add(int fd);
int64_t lr_counter_take(int fd);
int lr_signals_create(uint64_t mask);
int lr_signals_take(int fd, int *ret_signo, int *ret_code, int *ret_pid);
int lr_signals_blocked(uint64_t *ret_mask);
int lr_signals_ignored(uint64_t *ret_mask);
int lr_signals_block(uint64_t mask, uint64_t *ret_former);
int lr_signals_restore(uint64_t mask);
int lr_pidfd_open(int pid);
int lr_pidfd_signal(int pidfd, int signo);

/* ---- changes of directories and files: inotify.c ---- */
int lr_inotify_create(void);
int lr_inotify_add(int fd, const char *path, uint32_t mask);
int lr_inotify_remove(int fd, int watch);

/* ---- the end of a process that is no child: pidfd.c ---- */
int lr_pidfd_status(int pidfd, int *ret_status);
int lr_pidfd_tells_exit(void);

/* ---- the keeper's other end: keeper_end.c ---- */
#include "keeper/protocol.h"

int lr_keeper_start(const char *path, int *ret_socket, int *ret_pidfd);
int lr_keeper_send(int socket, const struct lr_request *request, const int *fds, int nfds);
int lr_keeper_receive(int socket, struct lr_event *ret_event, int ret_fds[LR_EVENT_MAX_FDS]);
int lr_keeper_wait(int pidfd, int timeout_ms);
int lr_keeper_hang_up(int socket);
const char *lr_step_word(uint32_t step);

/* ---- the kernel's structures: btf.c ---- */
struct lr_btf_member {
    const char *structure, *member;
    int offset;             /* in bytes */
};
int lr_btf_offsets(const char *path, struct lr_btf_member *wanted, int count);

/* ---- what a tree used, counted at its exits: exits.c ---- */
#define LR_EXITS_PLACES 14
struct lr_exits_layout {
    int offsets[LR_EXITS_PLACES];
};
struct lr_exits {
    struct lr_io io;
    uint64_t max_rss_kib;   /* of the largest process */
    uint64_t user_ticks_ns, sys_ticks_ns; /* CPU time as the ticks found it: a share, no sum */
    uint64_t processes;     /* that were made */
    uint64_t too_deep;      /* processes and threads of which it is not known whose they are */
};
int lr_exits_layout(const char *path, struct lr_exits_layout *ret_layout);
int lr_exits_open(const struct lr_exits_layout *layout, int keeper, int ret_fds[3]);
int lr_exits_reset(int map);
int lr_exits_read(int map, struct lr_exits *ret_exits);

/* ---- moving output: pump.c ---- */
enum { LR_PUMP_DRAINED, LR_PUMP_MORE, LR_PUMP_BLOCKED };
enum {
    LR_DESTINATION_OWN,     /* a description of our own: non-blocking, or it never waits for a reader */
    LR_DESTINATION_SOCKET,
    LR_DESTINATION_SHARED,  /* the caller's, as it is */
};
struct lr_pump {
    int source;             /* a pipe's end, non-blocking */
    int record;             /* -1: none */
    int destination;        /* -1: none */
    int kind;               /* LR_DESTINATION_... */
    int record_error;       /* why the record was let go: an errno, or 0 */
    int destination_error;
    uint64_t taken;         /* bytes read from the source so far */
    uint32_t size;          /* of the buffer */
    uint32_t start, end;    /* what of it is yet to be passed on */
    unsigned char *buffer;
};
int lr_pump_move(struct lr_pump *pump, uint64_t limit);

/* ---- the tracer of system calls: tracer*.c, its records: records.h ---- */
/* At the entry of rt_sigreturn the signal frame is where the stack pointer is
 * (on x86_64 its first word, the return address, is off the stack), and in it,
 * so many bytes on, the mask that will be restored. */
#if defined(__aarch64__)
#define LR_FRAME_MASK (sizeof(siginfo_t) + offsetof(ucontext_t, uc_sigmask))
#else
#define LR_FRAME_MASK offsetof(ucontext_t, uc_sigmask)
#endif
struct lr_tracer;
struct lr_inject {                      /* what is done to a call */
    uint32_t first, last, step;         /* to these of a thread's invocations, from 1; step 0: to the first alone */
    uint32_t replace;                   /* 1: `call` is executed instead, -1 none, */
    int32_t call;
    int32_t signo;                      /* sent at the entry; 0: none */
    int64_t result;                     /* and this is the result, -errno too */
    uint64_t delay_enter_ns, delay_exit_ns;
};
struct lr_hook {                        /* a call at its entry or its exit, for lr_tracer_options.hook */
    const uint8_t *record;              /* ENTER or EXIT; lasts as long as the call of the hook */
    uint32_t size;
    uint32_t answer;                    /* LR_HOOK_*: what the hook wants */
    int64_t value;
};
#define LR_HOOK_SKIP 1                  /* at an entry: do not execute it, `value` is its result */
#define LR_HOOK_RESULT 2                /* at an exit: `value` is its result */
struct lr_tracer_options {
    int output;                         /* where records are written to; -1: they are taken while the command runs, */
    int wake;                           /* and this counter is raised when there are some */
    int spare;                          /* `output` and this one take turns when one has `turn_size` bytes: what */
    uint32_t head;                      /* is written to next is emptied down to so many bytes; -1: there is none */
    uint64_t turn_size;
    uint32_t string_limit;              /* bytes copied of a string or buffer */
    const struct lr_capture_row *plan;  /* one row per call number; outlives the tracer, as `only` does */
    uint32_t rows;
    uint32_t only_bits;
    const uint8_t *only;                /* bit nr set: record the call; NULL: all */
    const struct lr_inject *injections;
    const uint8_t *injected;            /* `rows` of them, by call number: index in `injections` + 1, 0: none; NULL */
    const uint8_t *hooked;              /* bit nr set: `hook` is called for the recorded call */
    uint32_t hooked_bits;
    void (*hook)(void *handle, struct lr_hook *hook);  /* on the parked thread, in the tracer's process; or NULL */
    void *handle;
    int (*engine)(void *engine_handle, int pid);  /* in our place: seizes `pid`, 0 or -errno; then follows, with 0 */
    void *engine_handle;
};
struct lr_tracer_usage {
    uint64_t user_ns;
    uint64_t sys_ns;
    uint64_t max_rss_kib;               /* of the largest process */
    uint64_t processes;                 /* thread groups, the first included */
    uint64_t unweighed;                 /* of those, ended without telling what they used */
    uint64_t untraced;                  /* not of those: made with CLONE_UNTRACED, which is respected */
    uint64_t unprivileged;              /* set-user-ID programs that ran without their privilege */
    struct lr_io io;                    /* what the threads that have ended read and wrote, after lr_tracer_count_io */
    uint64_t io_unread;                 /* threads of which that is not known */
};
int lr_tracer_create(const struct lr_tracer_options *options, struct lr_tracer **ret_tracer);
void lr_tracer_count_io(struct lr_tracer *tracer);
int lr_tracer_run(struct lr_tracer *tracer, int pid);
struct lr_attached {
    uint32_t pid;
    int32_t error;                      /* 0: it is traced, else -errno */
};
int lr_tracer_attach(struct lr_tracer *tracer, struct lr_attached *processes, uint32_t count);
int lr_tracer_await_seized(struct lr_tracer *tracer, int timeout_ms);
void lr_tracer_abort(struct lr_tracer *tracer);
void lr_tracer_detach(struct lr_tracer *tracer);
int64_t lr_tracer_take(struct lr_tracer *tracer, const uint8_t **ret_records);
int lr_tracer_flush(struct lr_tracer *tracer);
void lr_tracer_usage(const struct lr_tracer *tracer, struct lr_tracer_usage *ret_usage);
int lr_tracer_write_error(const struct lr_tracer *tracer);
int lr_tracer_output(const struct lr_tracer *tracer);
int lr_tracer_gap_error(const struct lr_tracer *tracer);
void lr_tracer_free(struct lr_tracer *tracer);

/* ---- samples of a tree: sampler*.c ---- */
#include "sampler.h"

struct lr_sampler;
int lr_sampler_create(int output, struct lr_sampler **ret_sampler);
int lr_sampler_watch(struct lr_sampler *sampler, int keeper);
int lr_sampler_start(struct lr_sampler *sampler, int timer, int64_t interval_ns);
uint32_t lr_sampler_due(void *sampler);
int lr_sampler_go_on(struct lr_sampler *sampler);
int64_t lr_sampler_elapsed(const struct lr_sampler *sampler);
uint32_t lr_sampler_missed(const struct lr_sampler *sampler);
void lr_sampler_ask(struct lr_sampler *sampler, int64_t time_ns);
int lr_sampler_append(struct lr_sampler *sampler, const void *data, uint32_t size);
int lr_sampler_flush(struct lr_sampler *sampler);
void lr_sampler_redirect(struct lr_sampler *sampler, int output);
void lr_sampler_last(const struct lr_sampler *sampler, struct lr_sample_tick *ret_tick);
void lr_sampler_free(struct lr_sampler *sampler);

/* ---- capture of packets: packets*.c, interfaces.c ---- */
#include "packets.h"

/* ---- reading logs of system calls: log*.c ---- */
#define LR_LOG_STRACEPY 0                /* the CSV that bmwcarit/stracepy makes */
#define LR_LOG_FIXED 1                   /* the same columns, right */
#define LR_LOG_EVENTS 2                  /* all fields of lowrun.trace.event.Event, separated by \x1f */
#define LR_LOG_UNKNOWN_LINES 20
struct lr_path_row {                     /* which arguments of a call are paths, and which their directories */
    char name[32];
    int8_t count, path[2], directory[2]; /* directory -1: none */
};
struct lr_log_counts {
    uint64_t lines, rows;
    uint64_t led;                        /* lines with a thread and a time */
    uint64_t unknown;                    /* lines that no rule understands, */
    uint64_t unknown_lines[LR_LOG_UNKNOWN_LINES]; /* and the numbers of the first of them */
};
struct lr_log;
int lr_log_create(int form, int extra, const struct lr_path_row *rows, uint32_t count, struct lr_log **ret_log);
int lr_log_feed(struct lr_log *log, const char *data, size_t size);
int lr_log_finish(struct lr_log *log);
int64_t lr_log_rows(const struct lr_log *log, const char **ret_rows);
void lr_log_counts(const struct lr_log *log, struct lr_log_counts *ret_counts);
void lr_log_free(struct lr_log *log);

#endif
