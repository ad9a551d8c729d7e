/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The keeper's own cgroup v2 (Documentation/admin-guide/cgroup-v2.rst): the
 * command is cloned into it, so cpu.stat counts the whole tree exactly, also
 * children that nobody waits for, and cgroup.kill ends it at one stroke. The
 * keeper itself stays outside. Without a writable hierarchy all this does
 * nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <time.h>

#include "keeper.h"

static char name[40];
static int parent_fd = -1, fd = -1, killed;

/* Removes an empty cgroup and the empty ones below it: a lowrun that was run
 * inside made one of its own. */
static long remove_group(int parent, const char *group)
{
    char entries[2048] __attribute__((aligned(8)));
    long result = SYS3(unlinkat, parent, group, AT_REMOVEDIR), directory, n;

    if (result != -EBUSY)
        return result;
    directory = SYS4(openat, parent, group, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (directory < 0)
        return result;
    while ((n = SYS3(getdents64, directory, entries, sizeof entries)) > 0)
        for (long at = 0; at < n; at += ((struct directory_entry *) (entries + at))->size) {
            struct directory_entry *entry = (struct directory_entry *) (entries + at);

            if (entry->type == DT_DIR && entry->name[0] != '.')
                remove_group((int) directory, entry->name);
        }
    SYS1(close, directory);
    return SYS3(unlinkat, parent, group, AT_REMOVEDIR);
}

/* lowrun-NAMESPACE-PID: containers that have the same hierarchy of cgroups have the same pids, too. The number of a pid
 * namespace is its own as long as it is there (namespaces(7)). */
const char *group_name(void)
{
    char link[32], *at;
    const char *number = link + text_length("pid:[");
    long size;

    if (name[0])
        return name;
    at = text_copy(name, "lowrun-");
    size = SYS4(readlinkat, AT_FDCWD, "/proc/self/ns/pid", link, sizeof link - 1);
    if (size > number - link) {
        link[size] = '\0';
        at = text_copy(text_number(at, text_parse(&number)), "-");
    }
    text_number(at, (uint64_t) SYS0(getpid));
    return name;
}

void group_remove(int parent)
{
    const struct timespec pause = { .tv_nsec = 1000000 };

    /* A cgroup whose last process was reaped this instant can still be busy. */
    for (int i = 0; i < 100 && remove_group(parent, name) == -EBUSY; i++)
        SYS4(clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, 0);
}

void group_open(int parent)
{
    long result;

    if (fd >= 0)
        return;
    result = SYS3(mkdirat, parent, group_name(), 0755);
    if (result == -EEXIST && remove_group(parent, name) == 0) /* of a keeper that was killed; its pid is ours now */
        result = SYS3(mkdirat, parent, name, 0755);
    if (result < 0)
        return;
    result = SYS3(fcntl, parent, F_DUPFD_CLOEXEC, 3);
    if (result >= 0) {
        parent_fd = (int) result;
        result = SYS4(openat, parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    }
    if (result < 0) {
        SYS3(unlinkat, parent, name, AT_REMOVEDIR);
        return;
    }
    fd = (int) result;
}

int group_fd(void)
{
    return fd;
}

void group_kill(void)
{
    long file = fd < 0 ? -EBADF : SYS4(openat, fd, "cgroup.kill", O_WRONLY | O_CLOEXEC, 0);

    if (file >= 0) {
        killed = 1;
        SYS3(write, file, "1", 1);
        SYS1(close, file);
    }
}

/* Since Linux 6.14 a process that is cloned into a cgroup which was ever killed is killed, too: the fork compares
 * its own cgroup's count of kills with the new one's (kill_seq in kernel/cgroup/cgroup.c). So another is made. */
void group_renew(void)
{
    long parent;

    if (!killed)
        return;
    parent = SYS3(fcntl, parent_fd, F_DUPFD_CLOEXEC, 3);
    group_drop();
    if (parent >= 0) {
        group_open((int) parent);
        SYS1(close, parent);
    }
}

static int limits_memory(const struct lr_request *request)
{
    return request->memory_max && !(request->flags & LR_SPAWN_MEMORY_V1);
}

static int limits_cpu(const struct lr_request *request)
{
    return request->cpu_quota_us && !(request->flags & LR_SPAWN_CPU_V1);
}

int group_is_needed(const struct lr_request *request)
{
    return limits_memory(request) || limits_cpu(request);
}

long group_limit(const struct lr_request *request)
{
    char text[64], *at;
    long result = 0;

    if (fd < 0)
        return group_is_needed(request) ? -EOPNOTSUPP : 0;
    if (limits_memory(request)) {
        text_number(text, request->memory_max);
        result = text_write(fd, "memory.max", text);
    }
    if (result >= 0 && limits_cpu(request)) {
        at = text_copy(text_number(text, request->cpu_quota_us), " ");
        text_number(at, request->cpu_period_us);
        result = text_write(fd, "cpu.max", text);
    }
    return result < 0 ? result : 0;
}

static uint64_t value_of(const char *text, const char *key)
{
    size_t size = text_length(key);

    for (; *text; text++) {
        size_t i = 0;

        while (i < size && text[i] == key[i])
            i++;
        if (i == size) {
            text += size;
            return text_parse(&text);
        }
        while (*text && *text != '\n')
            text++;
        if (!*text)
            break;
    }
    return 0;
}

void group_cpu(uint64_t *ret_user_us, uint64_t *ret_sys_us)
{
    char text[1024];

    *ret_user_us = *ret_sys_us = 0;
    if (fd < 0 || text_read(fd, "cpu.stat", text, sizeof text) < 0)
        return;
    *ret_user_us = value_of(text, "user_usec ");
    *ret_sys_us = value_of(text, "system_usec ");
}

void group_drop(void)
{
    if (fd < 0)
        return;
    SYS1(close, fd);
    group_remove(parent_fd);
    SYS1(close, parent_fd);
    fd = parent_fd = -1;
    killed = 0;
}

void group_close(void)
{
    group_drop();
    group_v1_close();
}
