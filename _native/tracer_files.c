/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which descriptors each task has, as far as the tracer must know it: what a
 * call can change later is kept by number, text is not.
 *
 * Tasks share a table as the kernel says (clone(2)): CLONE_FILES shares the
 * descriptors and CLONE_FS the working directory, all else copies; unshare(2)
 * and execve(2) end the sharing.
 */
#include "tracer.h"

#include <stdlib.h>

static struct lr_files *files_new(struct lr_tracer *t, const struct lr_files *like)
{
    struct lr_files *files = calloc(1, sizeof *files);

    if (files == NULL)
        return NULL;
    if (like != NULL && like->size > 0) {
        files->fds = malloc(like->size * sizeof *files->fds);
        if (files->fds != NULL) {
            memcpy(files->fds, like->fds, like->size * sizeof *files->fds);
            files->size = like->size;
        }
    }
    files->refs = 1;
    files->next = t->files;
    if (files->next != NULL)
        files->next->link = &files->next;
    files->link = &t->files;
    t->files = files;
    return files;
}

static void files_put(struct lr_files *files, uint32_t tid)
{
    if (files == NULL)
        return;
    if (files->tid == tid)
        files->tid = 0;
    if (--files->refs > 0)
        return;
    *files->link = files->next;
    if (files->next != NULL)
        files->next->link = files->link;
    free(files->fds);
    free(files);
}

static struct lr_directory *directory_new(const struct lr_directory *like)
{
    struct lr_directory *directory = calloc(1, sizeof *directory);

    if (directory != NULL) {
        directory->refs = 1;
        if (like != NULL)
            directory->is = like->is;
    }
    return directory;
}

static void directory_put(struct lr_directory *directory)
{
    if (directory != NULL && --directory->refs == 0)
        free(directory);
}

/* `child` was made by `parent` with clone's `flags`. One that is known to have a table keeps it. */
void lr_files_inherit(struct lr_tracer *t, struct lr_task *child, const struct lr_task *parent, uint64_t flags)
{
    if (child->files == NULL && parent->files != NULL) {
        if (flags & CLONE_FILES) {
            child->files = parent->files;
            child->files->refs++;
        } else {
            child->files = files_new(t, parent->files);
        }
    }
    if (child->directory == NULL && parent->directory != NULL) {
        if (flags & CLONE_FS) {
            child->directory = parent->directory;
            child->directory->refs++;
        } else {
            child->directory = directory_new(parent->directory);
        }
    }
}

/* From here on they are the task's own: CLONE_FILES, CLONE_FS or both. */
void lr_files_unshare(struct lr_tracer *t, struct lr_task *task, uint64_t flags)
{
    if (flags & CLONE_FILES && task->files != NULL && task->files->refs > 1) {
        struct lr_files *own = files_new(t, task->files);

        files_put(task->files, task->tid);
        task->files = own;
    }
    if (flags & CLONE_FS && task->directory != NULL && task->directory->refs > 1) {
        struct lr_directory *own = directory_new(task->directory);

        directory_put(task->directory);
        task->directory = own;
    }
}

void lr_files_release(struct lr_task *task)
{
    files_put(task->files, task->tid);
    directory_put(task->directory);
    task->files = NULL;
    task->directory = NULL;
}

/* Of all: what is known is to be looked up, and said, once more. */
void lr_files_forget(struct lr_tracer *t)
{
    for (size_t i = 0; i < LR_TABLE_SIZE; i++)
        for (struct lr_task *task = t->tasks[i]; task != NULL; task = task->next)
            lr_files_release(task);
}

/* Gives `task` tables: those of its group, or new ones. Returns whether they are new. */
bool lr_files_prepare(struct lr_tracer *t, struct lr_task *task)
{
    const struct lr_task *leader = lr_task_find(t, task->tgid);

    if (task->files != NULL && task->directory != NULL)
        return false;
    if (leader != NULL && leader != task && leader->files != NULL && leader->directory != NULL) {
        lr_files_inherit(t, task, leader, CLONE_FILES | CLONE_FS);
        return false;
    }
    if (task->files == NULL)
        task->files = files_new(t, NULL);
    if (task->directory == NULL)
        task->directory = directory_new(NULL);
    return true;
}

/* NULL: nothing is known of it. */
struct lr_fd *lr_files_at(const struct lr_task *task, int fd)
{
    struct lr_files *files = task->files;

    if (fd == AT_FDCWD)
        return task->directory != NULL ? &task->directory->is : NULL;
    return files != NULL && fd >= 0 && (uint32_t) fd < files->size ? &files->fds[fd] : NULL;
}

void lr_files_set(const struct lr_task *task, int fd, const struct lr_fd *is)
{
    struct lr_files *files = task->files;
    struct lr_fd *at = lr_files_at(task, fd);

    if (at == NULL && files != NULL && is->kind != LR_FD_NONE && fd >= 0 && fd < LR_FDS_MAX) {
        uint32_t size = ((uint32_t) fd + 32) & ~31u;
        struct lr_fd *fds = realloc(files->fds, size * sizeof *fds);

        if (fds == NULL)
            return;
        memset(fds + files->size, 0, (size - files->size) * sizeof *fds);
        files->fds = fds;
        files->size = size;
        at = &fds[fd];
    }
    if (at != NULL)
        *at = *is;
}

/* Descriptors `first` to `last` are closed. */
void lr_files_clear(const struct lr_task *task, uint32_t first, uint32_t last)
{
    struct lr_files *files = task->files;

    if (files == NULL || first >= files->size)
        return;
    if (last >= files->size)
        last = files->size - 1;
    for (uint32_t fd = first; fd <= last; fd++)
        files->fds[fd].kind = LR_FD_NONE;
}

/* A living task that has the table; NULL when there is none. */
struct lr_task *lr_files_user(struct lr_tracer *t, const struct lr_files *files)
{
    struct lr_task *task = files->tid != 0 ? lr_task_find(t, files->tid) : NULL;

    for (size_t i = 0; task == NULL && i < LR_TABLE_SIZE; i++)
        for (task = t->tasks[i]; task != NULL && task->files != files; task = task->next)
            ;
    return task;
}
