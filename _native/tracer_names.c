/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Says what a descriptor is: a PATH record, made of the link in /proc/PID/fd
 * as strace -yy reads it. Once in the descriptor's life, and again when
 * something has changed:
 *
 *   a path     when a traced process removes or renames one with this last
 *              component, or a directory with one of its components
 *   a socket   at each use until the kernel knows an address of it; from then
 *              on strace keeps to its first answer, and so it is here
 *   a pidfd    at each use: its process may have ended
 *
 * The kernel appends " (deleted)" to the link of what was removed, but a file
 * may also be called so: then the link leads to what the text says.
 */
#include "tracer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char deleted[] = " (deleted)";
static const char pidfd[] = "anon_inode:[pidfd]";

/* FNV-1a */
static uint32_t hash_of(const char *text, size_t len)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t) text[i]) * 16777619u;
    return hash;
}

static uint64_t bit_of(uint32_t hash)
{
    return UINT64_C(1) << (hash >> 16 & 63);
}

static struct lr_fd path_fd(const char *text, size_t len)
{
    struct lr_fd is = { .kind = LR_FD_PATH };

    for (size_t at = 0; at < len;) {
        const char *slash = memchr(text + at, '/', len - at);
        size_t end = slash != NULL ? (size_t) (slash - text) : len;

        if (end > at) {
            is.last = hash_of(text + at, end - at);
            is.parts |= bit_of(is.last);
        }
        at = end + 1;
    }
    return is;
}

static bool is_same(const char *one, const char *other)
{
    struct stat first, second;

    return stat(one, &first) == 0 && lstat(other, &second) == 0 && first.st_ino == second.st_ino
           && first.st_dev == second.st_dev;
}

static uint32_t pid_of(const struct lr_task *task, int fd)
{
    char name[48], text[512], *line;
    ssize_t len = -1;
    int info;

    snprintf(name, sizeof name, "/proc/%u/fdinfo/%d", task->tid, fd);
    info = open(name, O_RDONLY | O_CLOEXEC);
    if (info >= 0) {
        len = read(info, text, sizeof text - 1);
        close(info);
    }
    text[len > 0 ? len : 0] = 0;
    line = strstr(text, "\nPid:\t");
    return line != NULL && line[6] != '-' ? (uint32_t) strtoul(line + 6, NULL, 10) : 0;
}

/* Paths that were none are remembered: where a file is, a device can come to be only by a removal, a
 * renaming or a mount. One by a process that is not traced goes unnoticed. */
static bool is_device(struct lr_tracer *t, const char *path, uint64_t hash, struct statx *ret_status)
{
    uint64_t *known = &t->no_devices[hash % LR_NO_DEVICES];

    if (*known == hash)
        return false;
    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, ret_status) < 0)
        return false;
    if (S_ISCHR(ret_status->stx_mode) || S_ISBLK(ret_status->stx_mode))
        return true;
    *known = hash;
    return false;
}

/* A link to a path: is it removed, is it a device? Both are told by what is there, as strace does. */
static struct lr_fd describe_path(struct lr_tracer *t, struct lr_rec_path *body, const char *link, char *text)
{
    const size_t suffix = sizeof deleted - 1;
    struct lr_fd is;
    struct statx status;

    if (body->len > suffix + 1 && memcmp(text + body->len - suffix, deleted, suffix) == 0 && !is_same(link, text)) {
        body->len -= (uint32_t) suffix;
        body->kind = LR_PATH_DELETED;
        text[body->len] = 0;
    }
    is = path_fd(text, body->len);     /* a directory above what is removed may still be renamed */
    if (is_device(t, text, is.parts << 32 ^ hash_of(text, body->len), &status)) {
        body->kind = S_ISCHR(status.stx_mode) ? LR_PATH_CHAR : LR_PATH_BLOCK;
        body->number = (uint64_t) status.stx_rdev_major << 32 | status.stx_rdev_minor;
    }
    return is;
}

/* Fills the body and the text of the open record; the text ends with a NUL that is not counted. */
static struct lr_fd describe(struct lr_tracer *t, const struct lr_task *task, struct lr_rec_path *body, char *text)
{
    char link[48];
    ssize_t len;

    if (body->fd == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/%u/cwd", task->tid);
    else
        snprintf(link, sizeof link, "/proc/%u/fd/%d", task->tid, body->fd);
    len = readlink(link, text, PATH_MAX);
    if (len <= 0)
        return (struct lr_fd) { .kind = LR_FD_NONE };
    text[len] = 0;
    body->len = (uint32_t) len;
    if (body->fd == AT_FDCWD)
        return path_fd(text, (size_t) len);
    if (text[0] == '/')
        return describe_path(t, body, link, text);
    if (strncmp(text, "socket:[", 8) == 0) {
        uint64_t inode = strtoull(text + 8, NULL, 10);
        int kind = lr_socket_describe(t, link, inode, text, &body->len);

        if (kind != LR_FD_NONE) {
            body->kind = LR_PATH_SOCKET;
            body->number = inode;
            return (struct lr_fd) {
                .kind = (uint32_t) kind, .last = t->addressed, .parts = strncmp(text, "UNIX", 4) != 0,
            };
        }
    } else if (strcmp(text, pidfd) == 0) {
        uint32_t pid = pid_of(task, body->fd);

        if (pid > 0) {
            body->len = 0;
            body->kind = LR_PATH_PROCESS;
            body->number = pid;
            return (struct lr_fd) { .last = pid, .kind = LR_FD_PROCESS };
        }
    }
    return (struct lr_fd) { .kind = LR_FD_PLAIN };
}

/* Looks at the descriptor and records what it is. Returns its kind. */
int lr_name_record(struct lr_tracer *t, struct lr_task *task, int fd)
{
    struct lr_rec_path *body = lr_record_begin(t, task, LR_REC_PATH, sizeof *body);
    struct lr_fd is;
    char *text;

    if (body == NULL)
        return LR_FD_NONE;
    text = lr_record_extend(t, PATH_MAX + 1);
    *body = (struct lr_rec_path) { .fd = fd };
    is = describe(t, task, body, text);
    lr_record_shrink(t, text + body->len);
    lr_record_end(t);
    lr_files_set(task, fd, &is);
    t->asking |= is.kind == LR_FD_SOCKET || is.kind == LR_FD_PROCESS;
    return (int) is.kind;
}

/* Records that the descriptor is no more. */
void lr_name_closed(struct lr_tracer *t, const struct lr_task *task, int fd)
{
    struct lr_rec_path *body = lr_record_begin(t, task, LR_REC_PATH, sizeof *body);

    if (body != NULL) {
        *body = (struct lr_rec_path) { .fd = fd };
        lr_record_end(t);
    }
}

/* The descriptor is used: records what it is when that can have changed. To ask for an inet socket is dear where
 * there are many, and only calls give it an address; a local one's peer appears when somebody accepts it. */
void lr_name_ask(struct lr_tracer *t, struct lr_task *task, int fd)
{
    const struct lr_fd *at = lr_files_at(task, fd);

    if (at != NULL && at->kind == LR_FD_SOCKET && at->parts != 0 && at->last == t->addressed)
        return;
    if (at != NULL && (at->kind == LR_FD_SOCKET || (at->kind == LR_FD_PROCESS && pid_of(task, fd) != at->last)))
        lr_name_record(t, task, fd);
}

/* Is there still any that has to be asked about? */
bool lr_names_asking(const struct lr_tracer *t)
{
    for (const struct lr_files *files = t->files; files != NULL; files = files->next)
        for (uint32_t fd = 0; fd < files->size; fd++)
            if (files->fds[fd].kind == LR_FD_SOCKET || files->fds[fd].kind == LR_FD_PROCESS)
                return true;
    return false;
}

/* ---- what has become of paths ---- */

static bool is_hit(const struct lr_fd *fd, uint32_t last, uint64_t parts)
{
    return fd->kind == LR_FD_PATH && (fd->last == last || (fd->parts & parts) != 0);
}

/* Looks again at all paths with this last component, or with one of the components of which `parts` has the bits;
 * at working directories too, unless it was a file. */
static void look_again(struct lr_tracer *t, uint32_t last, uint64_t parts, bool is_file)
{
    memset(t->no_devices, 0, sizeof t->no_devices);
    for (struct lr_files *files = t->files; files != NULL; files = files->next) {
        struct lr_task *user = NULL;

        for (uint32_t fd = 0; fd < files->size; fd++)
            if (is_hit(&files->fds[fd], last, parts)) {
                if (user == NULL && (user = lr_files_user(t, files)) == NULL)
                    break;
                lr_name_record(t, user, (int) fd);
            }
    }
    for (size_t i = 0; !is_file && i < LR_TABLE_SIZE; i++)
        for (struct lr_task *task = t->tasks[i]; task != NULL; task = task->next)
            if (task->directory != NULL && is_hit(&task->directory->is, last, parts))
                lr_name_record(t, task, AT_FDCWD);
}

/* Hash of the last component; false: it says nothing (".", "..", or none). */
static bool last_of(const char *path, uint32_t *ret_hash)
{
    size_t end = strlen(path), begin;

    while (end > 0 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--)
        ;
    *ret_hash = hash_of(path + begin, end - begin);
    return end > begin && strncmp(path + begin, "..", end - begin) != 0;
}

/* A directory that is removed was empty: no other path had it in the middle. */
void lr_names_removed(struct lr_tracer *t, const char *path, bool is_file)
{
    uint32_t last;

    if (last_of(path, &last))
        look_again(t, last, 0, is_file);
    else
        look_again(t, 0, ~UINT64_C(0), false);
}

/* What was renamed, and what was there before; with RENAME_EXCHANGE both are renamed. */
void lr_names_moved(struct lr_tracer *t, const char *from, const char *to)
{
    uint32_t first, second;

    if (last_of(from, &first) && last_of(to, &second))
        look_again(t, first, bit_of(first) | bit_of(second), false);
    else
        look_again(t, 0, ~UINT64_C(0), false);
}
