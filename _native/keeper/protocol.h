/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What lowrun and its keeper say to each other over a SOCK_SEQPACKET pair:
 * one header for both ends. The two are built together, so there is no
 * version to negotiate; the size of a message is checked all the same.
 *
 *   lowrun                     keeper                    command
 *     | -- SPAWN ----------------> | -- clone, CLONE_VFORK -> |
 *     | <- PARKED ----------------------------------------- | (only with LR_SPAWN_PARK:
 *     | -- GO --------------------------------------------> |  seized meanwhile)
 *     | <- STARTED, pidfd -------- | <-------- execve ------- |
 *     |    or FAILED(step, errno)  |                          |
 *     | -- SIGNAL ---------------> | -- to each of the tree -> |
 *     | -- END ------------------> | -- SIGKILL, again and again
 *     | <- REAPED ---------------- | an orphan is reaped (only with LR_SPAWN_REAPED)
 *     | <- EXITED ---------------- | the command is reaped
 *     | <- ENDED ----------------- | wait4 says ECHILD: the tree is gone
 *     | -- SPAWN ... or close      |
 *
 * EXITED and ENDED come in one message when the command was the last. After
 * ENDED (or FAILED) the keeper takes the next SPAWN; when the socket ends it
 * kills what is left and goes.
 *
 * With LR_SPAWN_STAY the tree outlives its owner: a listening socket comes
 * along, and when the owner is lost without a word (LEAVE) the keeper goes on
 * with the tree until the next lowrun connects there:
 *
 *   next lowrun                keeper
 *     | -- ADOPT, pidfd of it ---> | (waits while there is an owner)
 *     | <- TREE, listener, ------- | the conversation goes on as above,
 *     |    pidfds                  | on this connection
 *     | <- HELD, a descriptor ---- | one for each that the command was given
 *     | <- REAPED, EXITED -------- | the last ends, told before or not
 *     | <- ENDED ----------------- | if the tree is gone already
 *
 * Its end is kept for the next owner, too: for LR_UNCLAIMED_S. A tree that has
 * ended is known when its owner asks for the next (SPAWN), or says so (FORGET).
 */
#ifndef LR_KEEPER_PROTOCOL_H
#define LR_KEEPER_PROTOCOL_H

#include <stdint.h>

enum lr_request_kind {
    LR_REQUEST_SPAWN = 1,   /* descriptors: body, those of its flags in the order DIRECTORY, CGROUP, MEMORY_V1, CPU_V1,
                               STAY, then `nfds` for the command */
    LR_REQUEST_GO = 2,      /* read by the parked command itself */
    LR_REQUEST_SIGNAL = 3,  /* `signo` to every process of the tree */
    LR_REQUEST_END = 4,     /* SIGKILL to the tree until it is gone */
    LR_REQUEST_LEAVE = 5,   /* end the tree and go: the owner is about to close the socket */
    LR_REQUEST_FORGET = 6,  /* the tree is gone and known: close the listening socket */
    LR_REQUEST_ADOPT = 7,   /* on the listening socket; a pidfd of who becomes the owner comes along */
    LR_REQUEST_QUERY = 8,   /* on the listening socket: TREE, and nothing changes */
    LR_REQUEST_WATCH = 9,   /* instead of SPAWN: tell how `watched` ends, which is no child. WATCHED or FAILED, then LAST;
                               END: it has ended by now. Nothing is ever done to it. */
};

enum lr_spawn_flags {
    LR_SPAWN_PARK = 1 << 0,     /* announce the pid and wait for GO before any other step */
    LR_SPAWN_GROUP = 1 << 1,    /* own process group */
    LR_SPAWN_SESSION = 1 << 2,  /* own session */
    LR_SPAWN_UMASK = 1 << 3,
    LR_SPAWN_NICE = 1 << 4,
    LR_SPAWN_UID = 1 << 5,
    LR_SPAWN_GID = 1 << 6,
    LR_SPAWN_GROUPS = 1 << 7,
    LR_SPAWN_CGROUP = 1 << 8,   /* a cgroup v2 directory descriptor comes along: make one of the keeper's own below it */
    LR_SPAWN_AGAIN = 1 << 9,    /* the last SPAWN once more; nothing else of this message counts */
    LR_SPAWN_DIRECTORY = 1 << 10, /* the caller's working directory comes along; else the keeper's, which began as the caller's */
    LR_SPAWN_IO = 1 << 11,      /* tell what was read and written */
    LR_SPAWN_NETWORK = 1 << 12, /* with PARK: in a network namespace of its own, of which PARKED brings packet sockets */
    LR_SPAWN_REAPED = 1 << 13,  /* tell of every orphan that is reaped */
    LR_SPAWN_STAY = 1 << 14,    /* a listening socket comes along: the tree outlives its owner */
    LR_SPAWN_OOM = 1 << 15,     /* `oom_score_adj` */
    LR_SPAWN_MEMORY_V1 = 1 << 16, /* a directory of the controller's cgroup v1 comes along: `memory_max` is below it */
    LR_SPAWN_CPU_V1 = 1 << 17,  /* the same of `cpu_quota_us` */
};

/* Of GO. */
enum lr_go_flags {
    LR_GO_FILTER = 1 << 0,       /* `stops`: the calls that the tracer is stopped at, by a seccomp filter */
    LR_GO_UNPRIVILEGED = 1 << 1, /* the tracer has no privilege: no_new_privs takes nothing more from the command */
};

#define LR_STOPS_MAX 512         /* call numbers */
#define LR_STOP_DATA 0x6c72      /* SECCOMP_RET_DATA of our filter's stops; a filter of the command's own has other data */
#define LR_EVENT_SOCKETS 2       /* one for loopback, one for the way out */
#define LR_EVENT_MAX_FDS 3
#define LR_UNCLAIMED_S 3600      /* so long, and after each QUERY anew, an end waits for the next owner */
#define LR_KEEPER_MAX_FDS 64
#define LR_REQUEST_MAX_FDS (LR_KEEPER_MAX_FDS + 6) /* with those that are not the command's */
#define LR_KEEPER_MAX_RLIMITS 16
#define LR_KEEPER_MAX_PID_TEXTS 4
#define LR_PID_DIGITS 10          /* of the longest pid */

struct lr_rlimit {
    uint32_t resource, pad;
    uint64_t soft, hard;    /* in this order, as prlimit64 takes them */
};

/* Where things lie in the body (a memfd): offsets in bytes, 0 for "none".
 * Lists of strings are strings one after the other, each with its NUL. */
struct lr_request {
    uint32_t kind;          /* enum lr_request_kind */
    uint32_t flags;         /* enum lr_spawn_flags */
    uint32_t signo;         /* SIGNAL */
    uint32_t body_size;     /* all below: SPAWN */
    uint32_t argc, argv;
    uint32_t envc, env;
    uint32_t programs, nprograms;   /* paths to try, in order */
    uint32_t cwd;           /* entered after chroot, relative to the directory that comes along */
    uint32_t chroot;
    uint32_t groups, ngroups;       /* u32 each, aligned to 4 */
    uint32_t affinity, affinity_size; /* cpu mask in bytes */
    uint32_t umask;
    int32_t nice;
    uint32_t uid, gid;
    uint32_t nrlimits;
    uint32_t nfds;
    int32_t group;          /* process group to join, without GROUP and SESSION */
    int32_t oom_score_adj;
    uint32_t cpu_quota_us, cpu_period_us; /* of the tree's cgroup; 0: no limit */
    uint32_t pid_texts[LR_KEEPER_MAX_PID_TEXTS]; /* places in `env`, of LR_PID_DIGITS, that the command's pid is put at */
    int32_t watched;        /* WATCH: a pid */
    int32_t tracer;         /* pid that may seize the parked command (PR_SET_PTRACER) */
    uint64_t memory_max;    /* bytes that the tree's cgroup may have; 0: no limit */
    uint64_t blocked;       /* signal mask of the command */
    uint64_t ignored;       /* signals it ignores */
    uint64_t stops[LR_STOPS_MAX / 64]; /* GO: bit nr */
    struct lr_rlimit rlimits[LR_KEEPER_MAX_RLIMITS];
    int32_t targets[LR_KEEPER_MAX_FDS]; /* its descriptor for each one that comes along */
};

enum lr_event_kind {
    LR_EVENT_PARKED = 1,    /* pid; with LR_SPAWN_NETWORK, LR_EVENT_SOCKETS descriptors come along */
    LR_EVENT_STARTED = 2,   /* pid, started_ns; a pidfd comes along */
    LR_EVENT_FAILED = 3,    /* step, error: nothing was started, the tree is gone */
    LR_EVENT_EXITED = 4,    /* pid, status, ended_ns: the command itself */
    LR_EVENT_ENDED = 5,     /* the sums: the tree is gone */
    LR_EVENT_LAST = 6,      /* EXITED and ENDED in one */
    LR_EVENT_DENIED = 7,    /* pid: may not be killed (it gained privileges) */
    LR_EVENT_REAPED = 8,    /* pid, status, ended_ns: one of the tree that is not the command; in the order of reaping */
    LR_EVENT_TREE = 9,      /* keeper, pid, state, error EBUSY: has an owner, status, times.
                               After ADOPT: the listening socket, a pidfd of the keeper, one of the command if it lives;
                               and `reaped` HELD follow */
    LR_EVENT_WATCHED = 10,  /* pid: from now on its end will be told, by LAST; with error ECHILD its status is not known */
    LR_EVENT_HELD = 11,     /* `pid`: the number it has in the command, which a respawn would get again; it comes along */
};

enum lr_tree_state {
    LR_TREE_RUNNING = 0,    /* the command lives */
    LR_TREE_LEFTOVER = 1,   /* it has exited; others of its tree live */
    LR_TREE_GONE = 2,
};

/* What went in and out, as proc_pid_io(5) counts it. */
struct lr_io {
    uint64_t read_bytes, written_bytes; /* by calls: rchar, wchar */
    uint64_t reads, writes;
    uint64_t storage_read_bytes, storage_written_bytes, cancelled_bytes;
};

struct lr_event {
    uint32_t kind;          /* enum lr_event_kind */
    uint32_t state;         /* TREE: enum lr_tree_state */
    int32_t keeper;         /* TREE: the keeper's pid */
    int32_t pid;
    int32_t status;         /* raw wait status */
    int32_t error;          /* errno */
    uint32_t step;          /* enum lr_step */
    uint32_t reaped;        /* how many processes wait4 gave us; TREE: how many HELD follow */
    uint64_t started_ns;    /* CLOCK_MONOTONIC */
    uint64_t ended_ns;
    uint64_t user_us;       /* sums of wait4's rusage over all reaped */
    uint64_t sys_us;
    uint64_t max_rss_kib;   /* of the largest process */
    uint64_t tree_ns;       /* CPU of the tree by an inherited perf counter; 0: not known */
    int32_t last_pid;       /* given out last in the pid namespace when the tree was gone; 0: not known */
    uint32_t has_io;        /* `io` is known: LR_SPAWN_IO, and the kernel counts it */
    uint64_t group_user_us; /* CPU of the tree by its cgroup; 0 both: not known */
    uint64_t group_sys_us;
    struct lr_io io;        /* of all that was waited for */
};

/* The steps between clone and the command's first instruction, by number and
 * by the word an error message has for each. */
#define LR_STEPS(STEP) \
    STEP(EXEC, "exec") \
    STEP(CLONE, "clone") \
    STEP(BODY, "request") \
    STEP(PARK, "wait for the tracer") \
    STEP(GROUP, "process group") \
    STEP(FDS, "descriptors") \
    STEP(CHROOT, "chroot") \
    STEP(CWD, "working directory") \
    STEP(RLIMIT, "resource limit") \
    STEP(OOM, "oom_score_adj") \
    STEP(LIMITS, "cgroup limits") \
    STEP(ENTER, "cgroup") \
    STEP(WATCH, "ptrace") \
    STEP(NICE, "nice") \
    STEP(AFFINITY, "cpu affinity") \
    STEP(GROUPS, "supplementary groups") \
    STEP(GID, "gid") \
    STEP(UID, "uid") \
    STEP(USERS, "user namespace") \
    STEP(IDS, "ids of the user namespace") \
    STEP(NETWORK, "network namespace") \
    STEP(PACKETS, "packet socket") \
    STEP(LOOPBACK, "loopback interface")

enum lr_step {
#define LR_STEP_ENUM(name, word) LR_STEP_##name,
    LR_STEPS(LR_STEP_ENUM)
#undef LR_STEP_ENUM
    LR_STEP_COUNT
};

#endif
