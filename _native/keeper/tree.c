/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every process below the keeper. It is their subreaper, so whoever loses its
 * parent becomes its child and none leaves the tree; /proc/PID/task/TID/children
 * lists the children of a thread (proc(5)).
 *
 * A pid read there may be another process's a moment later, unless it is the
 * keeper's own child (only the keeper reaps those). So: open a pidfd, then see
 * that its parent is still who we think, then signal through the pidfd. If it
 * was reaped between, the pidfd answers ESRCH; if not, the check was about it.
 */
#include <errno.h>
#include <linux/fcntl.h>

#include "keeper.h"

#define QUEUE 16384 /* more are reached by the next pass: END repeats until ECHILD */

static int queue[QUEUE];
static char children[65536];

/* The parent in /proc/PID/stat: the fourth field, after the last ')'. */
static int parent_of(int pid)
{
    char path[32], text[512];
    const char *at = text, *end = 0;

    text_copy(text_number(text_copy(path, "/proc/"), (uint64_t) pid), "/stat");
    if (text_read(AT_FDCWD, path, text, sizeof text) < 0)
        return -1;
    for (; *at; at++)
        if (*at == ')')
            end = at;
    if (!end || !end[1] || !end[2] || !end[3])
        return -1;
    end += 4;
    return (int) text_parse(&end);
}

static int signal_one(int pid, int parent, int self, int signo)
{
    long pidfd = SYS2(pidfd_open, pid, 0);
    long result = -ESRCH;
    int now;

    if (pidfd < 0)
        return (int) pidfd;
    now = parent == self ? self : parent_of(pid);
    if (now == parent || now == self)
        result = SYS4(pidfd_send_signal, pidfd, signo, 0, 0);
    SYS1(close, pidfd);
    return (int) result;
}

struct pass {
    int self, signo;
    int count;   /* of the queue */
    int reached, denied;
};

static void visit(struct pass *pass, int parent, const char *list)
{
    while (*list) {
        int pid = (int) text_parse(&list), result;

        while (*list == ' ' || *list == '\n')
            list++;
        if (pid <= 1)
            continue;
        if (pass->count < QUEUE)
            queue[pass->count++] = pid;
        result = signal_one(pid, parent, pass->self, pass->signo);
        pass->reached += result >= 0;
        pass->denied += result == -EPERM;
    }
}

/* Reads the children of one thread. */
static void visit_thread(struct pass *pass, int pid, const char *thread)
{
    char path[64];

    text_copy(text_copy(text_copy(text_number(text_copy(path, "/proc/"), (uint64_t) pid), "/task/"), thread), "/children");
    if (text_read(AT_FDCWD, path, children, sizeof children) > 0)
        visit(pass, pid, children);
}

struct entry { /* struct linux_dirent64 (getdents64(2)) */
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

static void visit_process(struct pass *pass, int pid)
{
    char path[32], entries[2048] __attribute__((aligned(8)));
    long directory, n;

    text_copy(text_number(text_copy(path, "/proc/"), (uint64_t) pid), "/task");
    directory = SYS4(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0)
        return;
    while ((n = SYS3(getdents64, directory, entries, sizeof entries)) > 0)
        for (long at = 0; at < n; at += ((struct entry *) (entries + at))->size) {
            struct entry *entry = (struct entry *) (entries + at);

            if (entry->name[0] >= '0' && entry->name[0] <= '9')
                visit_thread(pass, pid, entry->name);
        }
    SYS1(close, directory);
}

int tree_signal(int signo)
{
    struct pass pass = { .self = (int) SYS0(getpid), .signo = signo };

    visit_process(&pass, pass.self);
    for (int i = 0; i < pass.count; i++)
        visit_process(&pass, queue[i]);
    return pass.reached == 0 && pass.denied ? -EPERM : pass.reached;
}
