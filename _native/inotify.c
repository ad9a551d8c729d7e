/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Changes of directories and files as something that can be waited for (inotify(7)).
 */
#include "lowrun.h"

int lr_inotify_create(void)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* The number of the watch of `path`: that of an older one when its file has one already (IN_MASK_ADD). */
int lr_inotify_add(int fd, const char *path, uint32_t mask)
{
    int watch = inotify_add_watch(fd, path, mask | IN_MASK_ADD);

    return watch < 0 ? -errno : watch;
}

int lr_inotify_remove(int fd, int watch)
{
    return inotify_rm_watch(fd, watch) < 0 ? -errno : 0;
}
