/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When looks are due: at whole multiples of the interval since the start, by a
 * timerfd. One that comes late says by how much, and those that would have been
 * due meanwhile are left out; so lateness never adds up. After one that took
 * long there is a pause.
 *
 * A look is a handler of the poller's (poller.c): Python hears of it when there
 * is more to do than a look is given time for, or what it has asked for.
 */
#include "lowrun.h"
#include "sampler.h"

#define PAUSE 4     /* after a look that took a greater part of the interval, so many times that */

static int64_t clock_now(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Since the run began. */
int64_t lr_sampler_elapsed(const struct lr_sampler *s)
{
    return clock_now(CLOCK_MONOTONIC) - s->plan.began_ns;
}

/* Those left out since the last one. */
uint32_t lr_sampler_missed(const struct lr_sampler *s)
{
    return s->plan.missed;
}

/* The next look at that time or later is to be heard of. */
void lr_sampler_ask(struct lr_sampler *s, int64_t time_ns)
{
    s->plan.ask_ns = time_ns;
}

/* Returns whether there is time to go on at once with what is new. */
static uint32_t looked(struct lr_sampler_plan *plan, int more)
{
    if (plan->took_ns * PAUSE > plan->interval_ns) {
        plan->rest_until_ns = plan->at_ns + plan->took_ns * PAUSE;
        return 0;
    }
    return more > 0;
}

/* The first look; the caller sets `timer` to tick from now on. */
int lr_sampler_start(struct lr_sampler *s, int timer, int64_t interval_ns)
{
    s->plan = (struct lr_sampler_plan) {
        .timer = timer, .began_ns = clock_now(CLOCK_MONOTONIC), .interval_ns = interval_ns, .due_ns = interval_ns,
    };
    return lr_sampler_tick(s, 0, 0, 0);
}

static uint32_t look(struct lr_sampler *s, int64_t late_ns)
{
    struct lr_sampler_plan *plan = &s->plan;
    int64_t began_ns = clock_now(CLOCK_THREAD_CPUTIME_ID);
    int more = lr_sampler_tick(s, plan->at_ns, late_ns > 0 ? (uint64_t) late_ns : 0, plan->missed);
    uint32_t news = more < 0 ? LR_SAMPLER_BROKEN : 0;

    plan->missed = 0;
    plan->took_ns = clock_now(CLOCK_THREAD_CPUTIME_ID) - began_ns;
    if (looked(plan, more))
        news |= LR_SAMPLER_MORE;
    return plan->at_ns >= plan->ask_ns ? news | LR_SAMPLER_ASKED : news;
}

/* The timer has ticked: for lr_poller_wait. Returns LR_SAMPLER_... */
uint32_t lr_sampler_due(void *sampler)
{
    struct lr_sampler *s = sampler;
    struct lr_sampler_plan *plan = &s->plan;
    int64_t now_ns, late_ns, overdue;

    if (lr_counter_take(plan->timer) <= 0)
        return 0;
    now_ns = lr_sampler_elapsed(s);
    late_ns = now_ns - plan->due_ns;
    overdue = late_ns > 0 ? late_ns / plan->interval_ns : 0;
    plan->due_ns += (overdue + 1) * plan->interval_ns;
    plan->missed += (uint32_t) overdue;
    if (now_ns < plan->rest_until_ns) {
        plan->missed++;
        return 0;
    }
    plan->at_ns = now_ns;
    return look(s, late_ns);
}

/* Goes on with those that are new, which the next look will have. Returns 1 as long as there are more, and time. */
int lr_sampler_go_on(struct lr_sampler *s)
{
    struct lr_sampler_plan *plan = &s->plan;
    int64_t began_ns = clock_now(CLOCK_THREAD_CPUTIME_ID);
    int more;

    if (lr_sampler_elapsed(s) >= plan->due_ns)
        return 0;
    more = lr_sampler_read_more(s);
    plan->took_ns += clock_now(CLOCK_THREAD_CPUTIME_ID) - began_ns;
    return (int) looked(plan, more);
}
