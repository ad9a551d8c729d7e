/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The processes of a tree that are known, by pid, and the queue of those that
 * were met at a tick.
 */
#include "lowrun.h"
#include "sampler.h"

#include <stdlib.h>

static struct lr_sampled *find(const struct lr_sampler *s, int32_t pid)
{
    struct lr_sampled *process = s->slots[(uint32_t) pid % LR_SAMPLER_SLOTS];

    while (process != NULL && process->pid != pid)
        process = process->next;
    return process;
}

/* Puts it into this tick's queue, once. */
static void meet(struct lr_sampler *s, struct lr_sampled *process)
{
    if (process->tick == s->tick)
        return;
    if (s->count == s->room) {
        size_t room = s->room == 0 ? 64 : s->room * 2;
        struct lr_sampled **queue = realloc(s->queue, room * sizeof *queue);

        if (queue == NULL)
            return;
        s->queue = queue;
        s->room = room;
    }
    process->tick = s->tick;
    s->queue[s->count++] = process;
}

void lr_sampler_meet_child(void *context, int32_t parent, int32_t child)
{
    struct lr_sampler *s = context;
    struct lr_sampled *process = find(s, child);

    if (process == NULL) {
        struct lr_sampled **slot = &s->slots[(uint32_t) child % LR_SAMPLER_SLOTS];

        process = malloc(sizeof *process);
        if (process == NULL)
            return;
        lr_sampled_init(process, child, parent);
        process->next = *slot;
        *slot = process;
    }
    process->ppid = parent;
    meet(s, process);
}

void lr_sampler_meet_unmet(struct lr_sampler *s)
{
    for (size_t i = 0; i < LR_SAMPLER_SLOTS; i++)
        for (struct lr_sampled *process = s->slots[i]; process != NULL; process = process->next)
            meet(s, process);
}

/* As its disposition of SIGCHLD is now: it may be another one than when its status was last read. */
static bool ignores_children(struct lr_sampler *s, struct lr_sampled *parent)
{
    if (parent->status_ns != s->now_ns) {
        parent->status_ns = s->now_ns;
        lr_sampled_status(parent);
    }
    return parent->ignores_children;
}

/* What it used is its parent's, if its parent waits for its children; if both
 * died, whose it is cannot be told, and it is left to those that waited. */
static void inherit(struct lr_sampler *s, const struct lr_sampled *dead)
{
    struct lr_sampled *parent = find(s, dead->ppid);

    if (!dead->is_read || parent == NULL || parent->dead || !ignores_children(s, parent))
        return;
    s->lost_cpu_ns += dead->cpu_ns + dead->children_user_ns + dead->children_sys_ns;
    s->lost_user_ns += dead->user_ns + dead->children_user_ns;
    s->lost_sys_ns += dead->sys_ns + dead->children_sys_ns;
    for (int i = 0; i < LR_IO_COUNT && dead->io_known; i++)
        s->lost_io[i] += dead->io[i];
}

/* After this the queue has the living alone. */
void lr_sampler_forget_dead(struct lr_sampler *s)
{
    size_t alive = 0;

    for (size_t i = 0; i < s->count; i++)
        if (s->queue[i]->dead)
            inherit(s, s->queue[i]);
    for (size_t i = 0; i < s->count; i++)
        if (!s->queue[i]->dead)
            s->queue[alive++] = s->queue[i];
    s->count = alive;
    for (size_t i = 0; i < LR_SAMPLER_SLOTS; i++)
        for (struct lr_sampled **at = &s->slots[i], *process; (process = *at) != NULL;) {
            if (process->dead) {
                *at = process->next;
                lr_sampled_close(process);
                free(process);
            } else {
                at = &process->next;
            }
        }
}

/* Lets go of all that it keeps open. */
void lr_sampler_free(struct lr_sampler *s)
{
    for (size_t i = 0; i < LR_SAMPLER_SLOTS; i++)
        while (s->slots[i] != NULL) {
            struct lr_sampled *process = s->slots[i];

            s->slots[i] = process->next;
            lr_sampled_close(process);
            free(process);
        }
    if (s->root.pid != 0)
        lr_sampled_close(&s->root);
    free(s->queue);
    free(s);
}
