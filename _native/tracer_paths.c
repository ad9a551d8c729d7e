/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the calls of the tracees do to descriptors, as strace -yy shows them:
 * which come to be, which go, and which are something else now
 * (tracer_names.c). The records go before that of the call's entry or exit in
 * which the descriptor is printed.
 *
 * There are two ways. Where all calls are recorded, descriptors are followed
 * from their making to their closing, and a use costs nothing. Where only
 * some are, the tracer sees no opens and closes: then what a recorded call
 * uses is looked up at each use, and no tables are kept.
 *
 * A descriptor counts as closed from close's entry on: by its exit another
 * thread may have been given the number.
 */
#include "tracer.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/close_range.h>

#define ASKED_MAX 256                  /* after so many calls: is there any need to ask? */

enum does {
    NOTHING,
    GIVES_ONE,                         /* its result */
    GIVES_PAIR,                        /* two ints at the first argument, */
    GIVES_PAIR_AT_FOURTH,              /* or at the fourth */
    GIVES_BY_COMMAND,                  /* fcntl: for two of its commands */
    GIVES_BY_RESULT,                   /* ioctl, seccomp, bpf: for some, whose results are above 0 */
    GIVES_BY_MESSAGE,                  /* SCM_RIGHTS */
    GIVES_BY_MESSAGES,
    GIVES_PIDFD,                       /* clone with CLONE_PIDFD */
    CHANGES_DIRECTORY,
    CHANGES_NAMESPACE,                 /* setns, unshare: directory and sharing */
    CLOSES,
    CLOSES_RANGE,
    REMOVES,                           /* the path that is the first argument, */
    REMOVES_AT,                        /* or the second */
    MOVES,                             /* the first to the second, */
    MOVES_AT,                          /* or the second to the fourth */
    REMAKES_TREE,                      /* all paths may be others */
    POLLS,
    SELECTS,
    SENDS_MESSAGE,
};

/* By call number; those that an architecture lacks have no number there. */
static const uint8_t table[512] = {
#ifdef SYS_open
    [SYS_open] = GIVES_ONE, [SYS_creat] = GIVES_ONE, [SYS_dup2] = GIVES_ONE, [SYS_pipe] = GIVES_PAIR,
    [SYS_eventfd] = GIVES_ONE, [SYS_epoll_create] = GIVES_ONE, [SYS_signalfd] = GIVES_ONE,
    [SYS_inotify_init] = GIVES_ONE, [SYS_unlink] = REMOVES, [SYS_rmdir] = REMOVES, [SYS_rename] = MOVES,
    [SYS_poll] = POLLS, [SYS_select] = SELECTS,
#endif
    [SYS_openat] = GIVES_ONE, [SYS_openat2] = GIVES_ONE, [SYS_open_by_handle_at] = GIVES_ONE,
    [SYS_dup] = GIVES_ONE, [SYS_dup3] = GIVES_ONE, [SYS_fcntl] = GIVES_BY_COMMAND, [SYS_pipe2] = GIVES_PAIR,
    [SYS_socket] = GIVES_ONE, [SYS_accept] = GIVES_ONE, [SYS_accept4] = GIVES_ONE,
    [SYS_socketpair] = GIVES_PAIR_AT_FOURTH, [SYS_eventfd2] = GIVES_ONE, [SYS_epoll_create1] = GIVES_ONE,
    [SYS_signalfd4] = GIVES_ONE, [SYS_timerfd_create] = GIVES_ONE, [SYS_inotify_init1] = GIVES_ONE,
    [SYS_memfd_create] = GIVES_ONE, [SYS_pidfd_open] = GIVES_ONE, [SYS_pidfd_getfd] = GIVES_ONE,
    [SYS_userfaultfd] = GIVES_ONE, [SYS_perf_event_open] = GIVES_ONE, [SYS_fanotify_init] = GIVES_ONE,
    [SYS_io_uring_setup] = GIVES_ONE, [SYS_mq_open] = GIVES_ONE, [SYS_open_tree] = GIVES_ONE,
    [SYS_fsopen] = GIVES_ONE, [SYS_fsmount] = GIVES_ONE, [SYS_fspick] = GIVES_ONE,
#ifdef SYS_landlock_create_ruleset
    [SYS_landlock_create_ruleset] = GIVES_BY_RESULT,
#endif
#ifdef SYS_memfd_secret
    [SYS_memfd_secret] = GIVES_ONE,
#endif
    [SYS_ioctl] = GIVES_BY_RESULT, [SYS_seccomp] = GIVES_BY_RESULT, [SYS_bpf] = GIVES_BY_RESULT,
    [SYS_recvmsg] = GIVES_BY_MESSAGE, [SYS_recvmmsg] = GIVES_BY_MESSAGES, [SYS_sendmsg] = SENDS_MESSAGE,
    [SYS_clone] = GIVES_PIDFD, [SYS_clone3] = GIVES_PIDFD,
    [SYS_chdir] = CHANGES_DIRECTORY, [SYS_fchdir] = CHANGES_DIRECTORY,
    [SYS_setns] = CHANGES_NAMESPACE, [SYS_unshare] = CHANGES_NAMESPACE,
    [SYS_close] = CLOSES, [SYS_close_range] = CLOSES_RANGE,
    [SYS_unlinkat] = REMOVES_AT, [SYS_renameat] = MOVES_AT, [SYS_renameat2] = MOVES_AT,
    [SYS_umount2] = REMAKES_TREE, [SYS_pivot_root] = REMAKES_TREE, [SYS_move_mount] = REMAKES_TREE,
    [SYS_mount] = REMAKES_TREE, [SYS_ppoll] = POLLS, [SYS_pselect6] = SELECTS,
};

static int does(const struct lr_task *task)
{
    return task->like < sizeof table ? table[task->like] : NOTHING;
}

static bool follows(const struct lr_tracer *t)
{
    return t->options.only == NULL;
}

static bool read_path(const struct lr_task *task, uint64_t address, char path[PATH_MAX])
{
    size_t got = 0, n;

    do {
        size_t piece = PATH_MAX - address % PATH_MAX;

        n = lr_memory_read(task, address, path + got, piece < PATH_MAX - got ? piece : PATH_MAX - got);
        if (memchr(path + got, 0, n) != NULL)
            return true;
        got += n;
        address += n;
    } while (n > 0 && got < PATH_MAX);
    return false;
}

/* What clone(2) was asked to share: of the clone, clone3, fork or vfork that `task` is in. */
uint64_t lr_clone_flags(const struct lr_task *task)
{
    uint64_t flags = task->like == SYS_clone ? task->args[0] : 0;

    if (task->like == SYS_clone3 && lr_memory_read(task, task->args[0], &flags, sizeof flags) != sizeof flags)
        return 0;
    return flags;
}

static void look(struct lr_tracer *t, struct lr_task *task, int fd)
{
    if (fd >= 0 || fd == AT_FDCWD)
        lr_name_record(t, task, fd);
}

static void visit_used(struct lr_tracer *t, struct lr_task *task, lr_visit *fn)
{
    if (task->row != NULL)
        lr_visit_arguments(t, task, fn);
    switch (does(task)) {
    case POLLS:
        lr_visit_polled(t, task, fn);
        break;
    case SELECTS:
        lr_visit_selected(t, task, fn);
        break;
    case SENDS_MESSAGE:
        lr_visit_message(t, task, task->args[1], fn);
        break;
    default:
        break;
    }
}

/* ---- calls ---- */

static void close_some(struct lr_tracer *t, struct lr_task *task)
{
    uint32_t first = (uint32_t) task->args[0];

    if (does(task) == CLOSES) {
        lr_files_clear(task, first, first);
        return;
    }
    if (task->args[2] & CLOSE_RANGE_UNSHARE)
        lr_files_unshare(t, task, CLONE_FILES);
    if (!(task->args[2] & CLOSE_RANGE_CLOEXEC))
        lr_files_clear(task, first, (uint32_t) task->args[1]);
}

/* bind, connect, listen; and whatever sends, which binds. */
static bool gives_address(const struct lr_task *task)
{
    switch (task->like) {
    case SYS_bind: case SYS_connect: case SYS_listen: case SYS_sendto: case SYS_sendmsg: case SYS_sendmmsg:
    case SYS_write: case SYS_writev: case SYS_sendfile: case SYS_splice: case SYS_io_uring_enter: case SYS_io_submit:
        return true;
    default:
        return false;
    }
}

/* Before the record of the entry. */
void lr_paths_before(struct lr_tracer *t, struct lr_task *task)
{
    if (lr_records_turn(t))
        lr_files_forget(t);
    if (!follows(t)) {
        visit_used(t, task, look);
        return;
    }
    if (task->files == NULL || task->directory == NULL)
        lr_paths_list(t, task);
    if (task->files != NULL)
        task->files->tid = task->tid;
    if (t->asking && ++t->asked % ASKED_MAX == 0)
        t->asking = lr_names_asking(t);
    if (t->asking)
        visit_used(t, task, lr_name_ask);
    t->addressed += gives_address(task);
    if (does(task) == CLOSES || does(task) == CLOSES_RANGE)
        close_some(t, task);
}

/* Where a call puts the pidfd of what it has made. */
static void visit_pidfd(struct lr_tracer *t, struct lr_task *task)
{
    uint64_t where = task->args[2];
    int fd;

    if (!(lr_clone_flags(task) & CLONE_PIDFD))
        return;
    if (task->like == SYS_clone3 && lr_memory_read(task, task->args[0] + 8, &where, sizeof where) != sizeof where)
        return;
    if (lr_memory_read(task, where, &fd, sizeof fd) == sizeof fd)
        look(t, task, fd);
}

/* Calls after which paths are others, of whatever process. */
static void after_change_of_paths(struct lr_tracer *t, const struct lr_task *task)
{
    char from[PATH_MAX], to[PATH_MAX];
    int at = does(task) == REMOVES_AT || does(task) == MOVES_AT;
    bool is_file = task->like == SYS_unlinkat && !(task->args[2] & AT_REMOVEDIR);

#ifdef SYS_unlink
    is_file |= task->like == SYS_unlink;
#endif
    switch (does(task)) {
    case REMOVES:
    case REMOVES_AT:
        if (read_path(task, task->args[at], from))
            lr_names_removed(t, from, is_file);
        break;
    case MOVES:
    case MOVES_AT:
        if (read_path(task, task->args[at], from) && read_path(task, task->args[at != 0 ? 3 : 1], to))
            lr_names_moved(t, from, to);
        break;
    case REMAKES_TREE:
        lr_names_removed(t, "/", false);
        break;
    default:
        break;
    }
}

static void after_change_of_sharing(struct lr_tracer *t, struct lr_task *task)
{
    uint64_t flags = task->like == SYS_unshare ? task->args[0] : 0;

    if (flags & (CLONE_NEWNS | CLONE_NEWUSER))
        flags |= CLONE_FS;
    lr_files_unshare(t, task, flags);
    if (task->like == SYS_setns)
        look(t, task, AT_FDCWD);
}

/* Before the record of the exit. */
void lr_paths_after(struct lr_tracer *t, struct lr_task *task, int64_t rval, bool is_error)
{
    t->addressed += gives_address(task);
    if (is_error) {
        if (does(task) == CLOSES && rval != -EBADF && follows(t))
            look(t, task, (int) task->args[0]);
        return;
    }
    switch (does(task)) {
    case GIVES_ONE:
        look(t, task, (int) rval);
        break;
    case GIVES_PAIR:
        lr_visit_pair(t, task, task->args[0], look);
        break;
    case GIVES_PAIR_AT_FOURTH:
        lr_visit_pair(t, task, task->args[3], look);
        break;
    case GIVES_BY_COMMAND:
        if (task->args[1] == F_DUPFD || task->args[1] == F_DUPFD_CLOEXEC)
            look(t, task, (int) rval);
        break;
    case GIVES_BY_RESULT:
        if (rval > 0 && rval <= INT_MAX)
            look(t, task, (int) rval);
        break;
    case GIVES_BY_MESSAGE:
        lr_visit_message(t, task, task->args[1], look);
        break;
    case GIVES_BY_MESSAGES:
        lr_visit_messages(t, task, (uint64_t) rval, look);
        break;
    case GIVES_PIDFD:
        visit_pidfd(t, task);
        break;
    case CHANGES_DIRECTORY:
        look(t, task, AT_FDCWD);
        break;
    case CHANGES_NAMESPACE:
        after_change_of_sharing(t, task);
        break;
    default:
        if (follows(t))
            after_change_of_paths(t, task);
        break;
    }
}

/* ---- tables as a whole ---- */

/* Calls fn for each descriptor that /proc lists. */
static void visit_listed(struct lr_tracer *t, struct lr_task *task, lr_visit *fn)
{
    char name[32];
    struct dirent *entry;
    DIR *directory;

    snprintf(name, sizeof name, "/proc/%u/fd", task->tid);
    directory = opendir(name);
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            fn(t, task, atoi(entry->d_name));
    if (directory != NULL)
        closedir(directory);
}

static void list(struct lr_tracer *t, struct lr_task *task)
{
    if (lr_files_prepare(t, task) && task->files != NULL) {
        look(t, task, AT_FDCWD);
        visit_listed(t, task, look);
    }
}

/* All that a task has which was not followed from its making: the command, or one that is attached to. Its group's
 * leader comes first, whose tables it shares. */
void lr_paths_list(struct lr_tracer *t, struct lr_task *task)
{
    struct lr_task *leader = lr_task_find(t, task->tgid);

    if (!follows(t))
        return;
    if (leader != NULL && leader != task && !leader->exiting)
        list(t, leader);
    list(t, task);
}

#define UNSEEN 0x100u                  /* in a kind, while a listing is compared with the table */

static void look_if_new(struct lr_tracer *t, struct lr_task *task, int fd)
{
    struct lr_fd *at = lr_files_at(task, fd);

    if (at == NULL || at->kind == LR_FD_NONE)
        look(t, task, fd);
    else
        at->kind &= ~UNSEEN;
}

/* A program was executed: what it has is its own, and what was to be closed is. */
void lr_paths_exec(struct lr_tracer *t, struct lr_task *task)
{
    if (!follows(t))
        return;
    if (task->files == NULL || task->directory == NULL) {
        lr_paths_list(t, task);
        return;
    }
    lr_files_unshare(t, task, CLONE_FILES);
    for (uint32_t fd = 0; task->files != NULL && fd < task->files->size; fd++)
        if (task->files->fds[fd].kind != LR_FD_NONE)
            task->files->fds[fd].kind |= UNSEEN;
    visit_listed(t, task, look_if_new);
    for (uint32_t fd = 0; task->files != NULL && fd < task->files->size; fd++)
        if (task->files->fds[fd].kind & UNSEEN) {
            task->files->fds[fd].kind = LR_FD_NONE;
            lr_name_closed(t, task, (int) fd);
        }
}
