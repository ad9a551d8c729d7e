/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the keeper's files share. The keeper is single-threaded and allocates
 * nothing but the body it maps: all state is static.
 */
#ifndef LR_KEEPER_H
#define LR_KEEPER_H

#include "protocol.h"
#include "system.h"

/* What is large and rarely touched lies behind all else, so that what a keeper always needs fits in two pages. */
#define LARGE __attribute__((common, aligned(16)))

/* Descriptors with a fixed place: the starter puts them there. */
#define KEEPER_SOCKET 0 /* the protocol */
#define KEEPER_OWNER 1  /* a pidfd of lowrun's process: readable when it is dead */
#define KEEPER_SPARE 2  /* keeps the number taken, so that nothing received is 0 to 2 */


/* ---- event.c: messages ---- */
uint64_t now_ns(void);          /* CLOCK_MONOTONIC, as events have it */
/* Sends an event with descriptors; -errno, -EAGAIN: there is no room. By a call of sockets, and safe in a child. */
long event_send(int socket, const struct lr_event *event, const int *fds, int nfds);
/* Takes a request and its descriptors; its bytes, 0 at the socket's end, -EAGAIN when there is none. */
long message_receive(int socket, struct lr_request *ret_request, int ret_fds[LR_REQUEST_MAX_FDS], int *ret_nfds);

/* ---- launch.c: from a request to a running command ---- */
struct launch {
    const struct lr_request *request;
    char *body;
    int fds[LR_REQUEST_MAX_FDS]; /* of SPAWN, in its order */
    int directory, cgroup, memory_v1, cpu_v1; /* of fds; -1: did not come along */
    int listener;         /* the same; whoever takes it over sets it to -1 */
    int nfds;
    int first;            /* index in fds of the command's first descriptor */
    const char **argv;
    const char **envp;
    size_t stack_size;    /* of the child's; what is above it are argv and envp, if they fit there */
    struct lr_request go; /* what the parked child was told, */
    uint64_t gone_ns;     /* and when; 0: it was not parked */
    uint32_t step;        /* written by the child: shared memory */
    int error;
};
/* Fills `launch`; 0 or -errno (the step is in it). */
int launch_prepare(struct launch *launch, const struct lr_request *request, const int *fds, int nfds);
/* Returns the pid once the command has been executed (ret_pidfd is its pidfd), or -errno. */
int launch_run(struct launch *launch, int *ret_pidfd);
void launch_release(struct launch *launch);

/* ---- stay.c: a door for the next lowrun, when a tree is to outlive the last ---- */
#define STAY_PEERS 4
#define STAY_SOURCES (1 + STAY_PEERS) /* to poll */
struct pollfd;
void stay_begin(int listener);  /* which becomes ours; -1: none. Who is in stays in. */
int stay_listener(void);        /* -1: the tree ends with its owner */
void stay_end(void);
void stay_watch(struct pollfd *sources);
void stay_serve(const struct pollfd *sources);
/* 1 when somebody wants to be the owner; its socket and pidfd become the caller's. */
int stay_adopter(int *ret_socket, int *ret_owner);
void ends_forget(void);
void ends_remember(long pid, int status, uint64_t ended_ns);
/* The remembered ends, oldest first, as REAPED; 0 when there are no more. */
int ends_read(uint32_t index, struct lr_event *ret_event);

/* ---- keeper.c: for stay.c and watch.c ---- */
/* Sends an event to the owner, if there is one; the descriptor (-1: none) stays the caller's. */
void keeper_tell(const struct lr_event *event, int descriptor);
void keeper_describe(struct lr_event *ret_event); /* TREE */

/* ---- network.c: a network of the command's own ---- */
/* The child moves into it; >= 0, or -errno of a step. The sockets are the child's. */
long network_enter(uint32_t *ret_step, int ret_sockets[LR_EVENT_SOCKETS]);

/* ---- filter.c: stops at chosen system calls, for a tracer ---- */
void filter_install(const struct lr_request *go);

/* ---- watch.c: the end of a process that is no child of ours ---- */
void watch_begin(int pid);              /* tells WATCHED or FAILED */
int watch_pid(void);                    /* 0: nobody */
int watch_takes(long pid, int status);  /* of wait4's answers those for it; tells LAST when it has ended */
void watch_end(void);                   /* tells LAST, too, without a status, if somebody is still watched */

/* ---- tree.c: every process below the keeper ---- */
/* Sends `signo` to each descendant; returns how many were reached, or -errno
 * when the tree cannot be read (no /proc). ret_denied counts those that we may
 * not signal. */
int tree_signal(int signo, int *ret_denied);

/* ---- group.c: the keeper's own cgroup v2, if it has one ---- */
void group_open(int parent);    /* makes it below `parent`; nothing when that fails */
int group_fd(void);             /* -1 without one */
/* Limits what is in it as `request` asks; 0 when it asks for nothing, or -errno. */
long group_limit(const struct lr_request *request);
int group_is_needed(const struct lr_request *request); /* it asks for limits that are this cgroup's */
void group_kill(void);
void group_renew(void);         /* before the next tree, if this one was killed */
void group_cpu(uint64_t *ret_user_us, uint64_t *ret_sys_us);
void group_drop(void);          /* the run does without */
void group_close(void);         /* and those of group_v1.c */
const char *group_name(void);   /* of all that this keeper makes */
void group_remove(int parent);  /* what has that name in the directory, empty or about to be */

/* ---- group_v1.c: the tree's cgroups v1, where controllers are in such hierarchies ---- */
/* Makes those that came along and sets their limits; 0 or -errno. */
long group_v1_open(const struct launch *launch);
long group_v1_enter(void);      /* the child moves into them; 0 or -errno */
void group_v1_close(void);

/* ---- count.c: the tree's CPU without wait4, and whether it was alone ---- */
void count_begin(void);
uint64_t count_cpu(void);       /* ns; only the difference of two has a meaning; always 0: not known */
int count_last_pid(void);       /* 0: not known */

/* ---- usage.c: the sums over a tree, of all witnesses ---- */
struct rusage;
void usage_begin(struct lr_event *totals, uint32_t io);     /* io: what was read and written, too */
void usage_add(struct lr_event *totals, const struct rusage *usage);
void usage_end(struct lr_event *totals);

/* ---- wait.c ---- */
long wait_awake(struct pollfd *sources, int count); /* as ppoll, for a moment and without sleep */

/* ---- io.c: what the tree read and wrote ---- */
/* Of all that was waited for, ever; only the difference of two has a meaning. 0, or -errno. */
int io_waited(struct lr_io *ret_io);
void io_subtract(struct lr_io *io, const struct lr_io *base);

struct directory_entry { /* struct linux_dirent64 (getdents64(2)) */
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* ---- text.c: the little that a libc would have given ---- */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *at, int byte, size_t size);
size_t text_length(const char *text);
char *text_number(char *to, uint64_t number); /* returns the end */
char *text_copy(char *to, const char *from);  /* returns the end */
uint64_t text_parse(const char **at);
/* Reads a file of up to size-1 bytes and ends it with a NUL; -errno. */
long text_read(int directory, const char *path, char *ret_text, size_t size);
/* Writes to a file that exists, in one piece; -errno. */
long text_write(int directory, const char *path, const char *text);

#endif
