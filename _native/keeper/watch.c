/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Watching a process that is no child of ours, on kernels whose pidfds do not
 * tell how it ended: PTRACE_SEIZE, which stops nothing, and then every stop is
 * ended as if nobody had looked (ptrace(2)):
 *
 *     signal-delivery-stop    PTRACE_CONT with that signal
 *     group-stop              PTRACE_LISTEN: it stays stopped until SIGCONT
 *     any other stop          PTRACE_CONT
 *
 * Its first thread alone is seized: that one's end is told when all of the
 * others have ended, with the status that its parent gets. When the keeper
 * goes, the kernel lets it go, and a signal that it stands at is delivered.
 */
#include <errno.h>
#include <linux/ptrace.h>
#include <signal.h>

#include "keeper.h"

static int watched; /* 0: nobody */

void watch_begin(int pid)
{
    const long result = watched ? -EBUSY : SYS4(ptrace, PTRACE_SEIZE, pid, 0, 0);
    const struct lr_event event = {
        .kind = result < 0 ? LR_EVENT_FAILED : LR_EVENT_WATCHED, .pid = pid, .step = LR_STEP_WATCH,
        .error = (int32_t) -result,
    };

    if (result == 0)
        watched = pid;
    keeper_tell(&event, -1);
}

int watch_pid(void)
{
    return watched;
}

static void tell_end(int status, int error)
{
    const struct lr_event event = {
        .kind = LR_EVENT_LAST, .pid = watched, .status = status, .error = error, .ended_ns = now_ns(),
    };

    watched = 0;
    keeper_tell(&event, -1);
}

int watch_takes(long pid, int status)
{
    const int signo = status >> 8 & 0xff, event = status >> 16;
    const int stops = signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;

    if (!watched || pid != watched)
        return 0;
    if ((status & 0xff) != 0x7f) /* not stopped: it has ended */
        tell_end(status, 0);
    else if (event == PTRACE_EVENT_STOP && stops)
        SYS4(ptrace, PTRACE_LISTEN, pid, 0, 0);
    else
        SYS4(ptrace, PTRACE_CONT, pid, 0, event == 0 ? signo : 0);
    return 1;
}

void watch_end(void)
{
    if (watched)
        tell_end(0, ECHILD);
}
