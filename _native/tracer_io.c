/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tree read and wrote: each thread's own part (proc_pid_io(5)), read
 * while it stands in PTRACE_EVENT_EXIT; it makes no call after that. A thread
 * that ends without this stop, or whose file we may not read (a set-user-ID
 * program's, without privilege), is counted as unread.
 */
#include "tracer.h"

#include <inttypes.h>
#include <stdio.h>

static bool read_io(uint32_t tid, struct lr_io *ret_io)
{
    char path[48], text[256];
    ssize_t len;
    int fd;

    snprintf(path, sizeof path, "/proc/%u/task/%u/io", tid, tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    return sscanf(text, "rchar: %" SCNu64 " wchar: %" SCNu64 " syscr: %" SCNu64 " syscw: %" SCNu64
                  " read_bytes: %" SCNu64 " write_bytes: %" SCNu64 " cancelled_write_bytes: %" SCNu64,
                  &ret_io->read_bytes, &ret_io->written_bytes, &ret_io->reads, &ret_io->writes,
                  &ret_io->storage_read_bytes, &ret_io->storage_written_bytes, &ret_io->cancelled_bytes) == 7;
}

/* Asked for before anything is traced: it costs a file for each thread. */
void lr_tracer_count_io(struct lr_tracer *t)
{
    t->counts_io = true;
}

/* The thread is in PTRACE_EVENT_EXIT, for the first time. */
void lr_io_sample(struct lr_tracer *t, const struct lr_task *task)
{
    struct lr_io *sum = &t->usage.io, io;

    if (!t->counts_io)
        return;
    if (!read_io(task->tid, &io)) {
        t->usage.io_unread++;
        return;
    }
    sum->read_bytes += io.read_bytes;
    sum->written_bytes += io.written_bytes;
    sum->reads += io.reads;
    sum->writes += io.writes;
    sum->storage_read_bytes += io.storage_read_bytes;
    sum->storage_written_bytes += io.storage_written_bytes;
    sum->cancelled_bytes += io.cancelled_bytes;
}
