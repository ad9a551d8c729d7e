/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A seccomp filter that stops the command, for its tracer, at chosen system
 * calls and lets all others run at full speed (seccomp(2), SECCOMP_RET_TRACE).
 * Calls of another architecture, and numbers beyond the chosen ones, stop.
 *
 * The kernel asks a filter once per number and remembers a plain ALLOW (since
 * 5.11), so its order hardly matters: it goes up the numbers and answers where
 * "stop" and "go" change. It is inherited by all descendants and cannot be
 * taken back: without their tracer the chosen calls fail with ENOSYS.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "keeper.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

#define HEAD 4
#define LAST 3

LARGE struct sock_filter filter_program[HEAD + 2 * LR_STOPS_MAX + LAST];

static int is_chosen(const uint64_t *stops, uint32_t nr)
{
    return (int) (stops[nr / 64] >> (nr % 64) & 1);
}

static uint32_t answer(int chosen)
{
    return chosen ? SECCOMP_RET_TRACE | LR_STOP_DATA : SECCOMP_RET_ALLOW;
}

static uint16_t build(const uint64_t *stops)
{
    struct sock_filter *at = filter_program;
    int now = is_chosen(stops, 0);

    *at++ = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    *at++ = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
    *at++ = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, answer(1));
    *at++ = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (uint32_t nr = 1; nr <= LR_STOPS_MAX; nr++) {
        if (nr < LR_STOPS_MAX && is_chosen(stops, nr) == now)
            continue;
        *at++ = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, nr, 1, 0);
        *at++ = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, answer(now));
        now = !now;
    }
    *at++ = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, answer(1));
    return (uint16_t) (at - filter_program);
}

/* In the child. Where the kernel refuses, the tracer is stopped at every call instead. */
void filter_install(const struct lr_request *go)
{
    const struct sock_fprog filter = { .len = build(go->stops), .filter = filter_program };
    long result = SYS3(seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter);

    if (result == -EACCES && go->flags & LR_GO_UNPRIVILEGED) {
        SYS5(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        SYS3(seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter);
    }
}
