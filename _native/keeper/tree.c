/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every process below the keeper. It is their subreaper, so whoever loses its
 * parent becomes its child and none leaves the tree; /proc/PID/task/TID/children
 * lists the children of a thread (proc(5)).
 *
 * A pid read there may be another process's a moment later. So: open a pidfd, then see
 * that its parent is still who we think, then signal through the pidfd. If it
 * was reaped between, the pidfd answers ESRCH; if not, the check was about it.
 */
#include <errno.h>
#include <linux/fcntl.h>

#include "keeper.h"

#define QUEUE 16384 /* more are reached by the next pass: END repeats until ECHILD */

LARGE int tree_queue[QUEUE];

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
    now = parent_of(pid);
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

static void visit(struct pass *pass, int parent, int pid)
{
    int result;

    if (pid <= 1)
        return;
    if (pass->count < QUEUE)
        tree_queue[pass->count++] = pid;
    result = signal_one(pid, parent, pass->self, pass->signo);
    pass->reached += result >= 0;
    pass->denied += result == -EPERM;
}

/* Reads the children of one thread, each number with a blank behind it. A
 * list can be of any length: a number may lie across two reads, and one that
 * no blank ends is not whole. */
static void visit_thread(struct pass *pass, int pid, const char *thread)
{
    char path[64], text[4096];
    int child = 0;
    long file, n;

    text_copy(text_copy(text_copy(text_number(text_copy(path, "/proc/"), (uint64_t) pid), "/task/"), thread), "/children");
    file = SYS4(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0)
        return;
    while ((n = SYS3(read, file, text, sizeof text)) > 0)
        for (long i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                child = child * 10 + (text[i] - '0');
            } else {
                visit(pass, pid, child);
                child = 0;
            }
        }
    SYS1(close, file);
}

static int visit_process(struct pass *pass, int pid)
{
    char path[32], entries[2048] __attribute__((aligned(8)));
    long directory, n;

    text_copy(text_number(text_copy(path, "/proc/"), (uint64_t) pid), "/task");
    directory = SYS4(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0)
        return (int) directory;
    while ((n = SYS3(getdents64, directory, entries, sizeof entries)) > 0)
        for (long at = 0; at < n; at += ((struct directory_entry *) (entries + at))->size) {
            struct directory_entry *entry = (struct directory_entry *) (entries + at);

            if (entry->name[0] >= '0' && entry->name[0] <= '9')
                visit_thread(pass, pid, entry->name);
        }
    SYS1(close, directory);
    return 0;
}

int tree_signal(int signo, int *ret_denied)
{
    struct pass pass = { .self = (int) SYS0(getpid), .signo = signo };
    int result = visit_process(&pass, pass.self);

    for (int i = 0; i < pass.count; i++)
        visit_process(&pass, tree_queue[i]);
    *ret_denied = pass.denied;
    return result < 0 ? result : pass.reached;
}
