/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a tree read and wrote. The kernel adds what a waited-for child counted
 * to its parent, as with its usage: /proc/self/io is the sum over our threads
 * and over all that was waited for, and a thread's own file has its part
 * alone (proc_pid_io(5); wait_task_zombie and do_io_accounting in the kernel). We have
 * one thread, so the difference is what our children did.
 *
 * Reading counts, too, when the text has been made: what reading the thread's
 * file has added is in the process's.
 */
#include <errno.h>
#include <linux/fcntl.h>

#include "keeper.h"

#define FIELDS 7 /* of struct lr_io: the file's lines, in its order */

/* Returns the size of the text, or -errno: -ENOENT where the kernel does not count. */
static long read_fields(const char *path, uint64_t ret_fields[FIELDS])
{
    char text[256];
    long n = text_read(AT_FDCWD, path, text, sizeof text);
    const char *at = text;

    for (int i = 0; n > 0 && i < FIELDS; i++) {
        while (*at && (*at < '0' || *at > '9'))
            at++;
        if (!*at)
            return -EPROTO;
        ret_fields[i] = text_parse(&at);
    }
    return n;
}

int io_waited(struct lr_io *ret_io)
{
    uint64_t own[FIELDS], all[FIELDS];
    long size = read_fields("/proc/thread-self/io", own), n;

    if (size <= 0)
        return size < 0 ? (int) size : -EPROTO;
    n = read_fields("/proc/self/io", all);
    if (n <= 0)
        return n < 0 ? (int) n : -EPROTO;
    for (int i = 0; i < FIELDS; i++)
        all[i] -= own[i];
    *ret_io = (struct lr_io) { all[0] - (uint64_t) size, all[1], all[2], all[3], all[4], all[5], all[6] };
    return 0;
}

void io_subtract(struct lr_io *io, const struct lr_io *base)
{
    io->read_bytes -= base->read_bytes;
    io->written_bytes -= base->written_bytes;
    io->reads -= base->reads;
    io->writes -= base->writes;
    io->storage_read_bytes -= base->storage_read_bytes;
    io->storage_written_bytes -= base->storage_written_bytes;
    io->cancelled_bytes -= base->cancelled_bytes;
}
