/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What /proc says of one process (proc_pid_stat(5), proc_pid_io(5) and so on).
 *
 * Descriptors stay open between ticks: a read of an open file costs a third of
 * open, read and close, and a descriptor of a process that is gone answers
 * ESRCH, also when its pid is another's by now. How many stay open in the whole
 * of this program is bounded by its RLIMIT_NOFILE; beyond the bound files are
 * opened for each read, and a pid that was given out anew shows in the start
 * time. C owns these descriptors: there can be thousands, and Python has no
 * use for them.
 */
#include "lowrun.h"
#include "sampler.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define TEXT_SIZE 4096
#define WHOLE_LIST (TEXT_SIZE / 2) /* the kernel ends a read at the end of the list, or a page: a short one is all */
#define KEPT_SHARE 4    /* a fourth of the descriptors that this program may have */

static const char *const names[LR_FILE_COUNT] = { "task/%d/children", "stat", "io", "status" };
static int kept_files;  /* by all samplers; they can be on several threads */

/* ---- opening and reading ---- */

static bool keep_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return false;
    if ((rlim_t) __atomic_add_fetch(&kept_files, LR_FILE_COUNT, __ATOMIC_RELAXED) <= limit.rlim_cur / KEPT_SHARE)
        return true;
    __atomic_sub_fetch(&kept_files, LR_FILE_COUNT, __ATOMIC_RELAXED);
    return false;
}

void lr_sampled_init(struct lr_sampled *process, int32_t pid, int32_t ppid)
{
    *process = (struct lr_sampled) { .pid = pid, .ppid = ppid, .threads = 1, .state = '?', .kept = keep_files() };
    for (int i = 0; i < LR_FILE_COUNT; i++)
        process->files[i] = -1;
    if (clock_getcpuclockid(pid, &process->clock) != 0)
        process->dead = true;
}

void lr_sampled_close(struct lr_sampled *process)
{
    for (int i = 0; i < LR_FILE_COUNT; i++)
        if (process->files[i] >= 0)
            close(process->files[i]);
    if (process->kept)
        __atomic_sub_fetch(&kept_files, LR_FILE_COUNT, __ATOMIC_RELAXED);
}

static int open_file(const struct lr_sampled *process, enum lr_process_file which)
{
    char path[64];
    int n = snprintf(path, sizeof path, "/proc/%d/", process->pid);
    int fd;

    /* Only children's name has a number in it. */
    if (which == LR_FILE_CHILDREN)
        snprintf(path + n, sizeof path - (size_t) n, names[LR_FILE_CHILDREN], process->pid);
    else
        snprintf(path + n, sizeof path - (size_t) n, "%s", names[which]);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    return fd;
}

/* Reads at `offset`, opens before and closes after as need be. The text ends with a NUL. */
static int read_file(struct lr_sampled *process, enum lr_process_file which, char *ret_text, off_t offset)
{
    int fd = process->files[which];
    ssize_t n;

    if (fd < 0) {
        fd = open_file(process, which);
        if (fd < 0)
            return fd;
        if (process->kept)
            process->files[which] = fd;
    }
    n = pread(fd, ret_text, TEXT_SIZE - 1, offset);
    if (n < 0)
        n = -errno;
    if (!process->kept)
        close(fd);
    if (n >= 0)
        ret_text[n] = '\0';
    return (int) n;
}

/* Returns the number at or after *at, and moves behind it. */
static uint64_t number(const char **at)
{
    uint64_t value = 0;

    while (**at != '\0' && (**at < '0' || **at > '9'))
        ++*at;
    while (**at >= '0' && **at <= '9')
        value = value * 10 + (uint64_t) (*(*at)++ - '0');
    return value;
}

static uint64_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    if (at == NULL)
        return 0;
    at += strlen(key);
    return number(&at);
}

/* ---- one file each ---- */

/* Returns 1 when it has run since the last time, 0 when not. A clock that went back is another process's, which the
 * next read of a file will tell. */
int lr_sampled_clock(struct lr_sampled *process)
{
    struct timespec now;
    uint64_t cpu_ns;

    if (clock_gettime(process->clock, &now) < 0)
        return -ESRCH;
    cpu_ns = (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
    if (cpu_ns == process->cpu_ns)
        return 0;
    if (cpu_ns > process->cpu_ns)
        process->cpu_ns = cpu_ns;
    return 1;
}

static void copy_name(struct lr_sampled *process, const char *from, const char *to)
{
    size_t size = (size_t) (to - from);

    if (size > sizeof process->name)
        size = sizeof process->name;
    memset(process->name, 0, sizeof process->name);
    memcpy(process->name, from, size);
}

/* Returns -ESRCH, too, when the pid is another process's by now. */
int lr_sampled_stat(struct lr_sampled *process)
{
    const uint64_t tick_ns = 1000000000 / (uint64_t) sysconf(_SC_CLK_TCK);
    char text[TEXT_SIZE];
    const char *open, *end, *at;
    uint64_t field[25];         /* numbered as in proc_pid_stat(5) */
    int result = read_file(process, LR_FILE_STAT, text, 0);

    if (result < 0)
        return result;
    open = strchr(text, '(');
    end = strrchr(text, ')');   /* a name may hold any character, blanks and brackets, too */
    if (open == NULL || end == NULL || end < open || end[1] == '\0' || end[2] == '\0')
        return -EPROTO;
    at = end + 3;
    for (int i = 4; i < 25; i++)
        field[i] = number(&at);
    if (process->is_read && field[22] != process->start_ticks)
        return -ESRCH;
    copy_name(process, open + 1, end);
    process->state = (uint8_t) end[2];
    process->user_ns = field[14] * tick_ns;
    process->sys_ns = field[15] * tick_ns;
    process->children_user_ns = field[16] * tick_ns;
    process->children_sys_ns = field[17] * tick_ns;
    process->threads = (uint32_t) field[20];
    process->start_ticks = field[22];
    process->rss_kib = field[24] * ((uint64_t) sysconf(_SC_PAGESIZE) / 1024);
    process->is_read = true;
    return 0;
}

static void parse_io(const char *text, uint64_t *ret_io)
{
    for (int i = 0; i < LR_IO_COUNT; i++)
        ret_io[i] = number(&text);
}

int lr_sampled_io(struct lr_sampled *process)
{
    char text[TEXT_SIZE];
    int result = read_file(process, LR_FILE_IO, text, 0);

    if (result == -ESRCH)
        return result;
    process->io_known = result > 0; /* EACCES: a set-user-ID program, or another user's */
    if (process->io_known)
        parse_io(text, process->io);
    return 0;
}

/* Of its first thread alone, without any child. */
int lr_sampled_own_io(const struct lr_sampled *process, uint64_t *ret_io)
{
    char path[64], text[TEXT_SIZE];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/task/%d/io", process->pid, process->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return -EIO;
    text[n] = '\0';
    parse_io(text, ret_io);
    return 0;
}

int lr_sampled_status(struct lr_sampled *process)
{
    char text[TEXT_SIZE];
    const char *ignored;
    int result = read_file(process, LR_FILE_STATUS, text, 0);

    if (result < 0)
        return result;
    process->peak_kib = number_after(text, "\nVmHWM:");
    process->swap_kib = number_after(text, "\nVmSwap:");
    ignored = strstr(text, "\nSigIgn:\t");
    if (ignored != NULL)
        process->ignores_children = strtoull(ignored + 9, NULL, 16) >> (SIGCHLD - 1) & 1;
    return 0;
}

/* In KiB; -errno when it may not be read. Costs time in proportion to its size. */
int64_t lr_sampled_pss(const struct lr_sampled *process)
{
    char path[64], text[TEXT_SIZE];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", process->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof text - 1);
    if (n < 0)
        n = -errno;
    close(fd);
    if (n < 0)
        return n;
    text[n] = '\0';
    return (int64_t) number_after(text, "\nPss:");
}

/* ---- children ---- */

/* Numbers with a blank behind each; one that no blank ends is not whole yet. */
static int32_t visit_text(const char *text, int32_t child, int32_t parent, lr_child_visitor visit, void *context)
{
    for (; *text != '\0'; text++) {
        if (*text >= '0' && *text <= '9') {
            child = child * 10 + (*text - '0');
        } else {
            if (child > 0)
                visit(context, parent, child);
            child = 0;
        }
    }
    return child;
}

static int visit_thread(const struct lr_sampled *process, const char *thread, lr_child_visitor visit, void *context)
{
    char path[64], text[TEXT_SIZE];
    int32_t child = 0;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", process->pid, thread);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while ((n = read(fd, text, sizeof text - 1)) > 0) {
        text[n] = '\0';
        child = visit_text(text, child, process->pid, visit, context);
    }
    close(fd);
    return 0;
}

static int visit_threads(const struct lr_sampled *process, lr_child_visitor visit, void *context)
{
    char path[32];
    struct dirent *entry;
    DIR *directory;

    snprintf(path, sizeof path, "/proc/%d/task", process->pid);
    directory = opendir(path);
    if (directory == NULL)
        return -errno;
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            visit_thread(process, entry->d_name, visit, context);
    closedir(directory);
    return 0;
}

int lr_sampled_children(struct lr_sampled *process, lr_child_visitor visit, void *context)
{
    char text[TEXT_SIZE];
    int32_t child = 0;
    off_t offset = 0;
    int n;

    if (process->threads > 1)
        return visit_threads(process, visit, context);
    do {
        n = read_file(process, LR_FILE_CHILDREN, text, offset);
        if (n > 0)
            child = visit_text(text, child, process->pid, visit, context);
        offset += n;
    } while (n >= WHOLE_LIST);
    return n < 0 ? n : 0;
}
