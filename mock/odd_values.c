/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Calls with values that programs seldom have: what strace prints of them has
 * its own rules. Most fail; none does anything.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static void names(void)
{
    prctl(PR_SET_NAME, "fifteen letters");
    prctl(PR_SET_NAME, "fourteen chars");
    prctl(PR_SET_NAME, "more than sixteen letters");
}

static void times(void)
{
    struct timespec wrong = { -1, -1 }, now = { 1, UTIME_NOW }, pair[2] = { { -1, -5 }, { 2, UTIME_NOW } };
    struct timespec more[2] = { { -1, UTIME_OMIT }, { 2, 999999999999 } };
    struct timeval used[2] = { { -1, -1 }, { 1, 1000001 } };
    struct itimerval timer = { { -1, -1 }, { 0, -3 } };

    clock_nanosleep(CLOCK_REALTIME, 0, &wrong, NULL);
    clock_nanosleep(CLOCK_REALTIME, 0, &now, NULL);
    utimensat(AT_FDCWD, "/nothing", pair, 0);
    utimensat(AT_FDCWD, "/nothing", more, 0);
    syscall(SYS_utimes, "/nothing", used);
    syscall(SYS_settimeofday, &used[0], NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    select(0, NULL, NULL, NULL, &used[0]);
}

static void descriptors(void)
{
    struct pollfd some[3] = { { -1, POLLIN, 0 }, { 1, POLLOUT, 0 }, { -7, 0, 0 } }, many[1000];
    struct termios none;
    struct stat status;

    poll(some, 3, 0);
    for (int i = 0; i < 1000; i++)
        many[i] = (struct pollfd) { 2000 + i, POLLIN, 0 };
    poll(many, 1000, 0);
    memset(&none, 0, sizeof none);
    ioctl(1, TCSETS, &none);
    none.c_oflag = OPOST | XTABS;
    ioctl(1, TCSETS, &none);
    stat("/dev/pts", &status);
    stat("/dev/loop0", &status);
}

static void processors(void)
{
    static unsigned char set[512] = { 1 };
    struct user_desc segment = { .entry_number = 7, .base_addr = 0x1234, .limit = 0xfffff, .contents = 2, .lm = 1 };

    syscall(SYS_sched_setaffinity, 0, sizeof set, set);
    syscall(SYS_sched_setaffinity, 0, 128, set);
    syscall(SYS_modify_ldt, 17, &segment, sizeof segment);
    syscall(SYS_membarrier, 1, -1, 0);
}

static void netlink(void)
{
    static const int protocols[] = { NETLINK_GENERIC, NETLINK_AUDIT, NETLINK_NETFILTER };
    static const unsigned short types[] = { GENL_ID_CTRL, 1100, 10 << 8 | 4, 10 << 8, 99 << 8 | 3, 16, NLMSG_DONE };
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = 1 };
    struct { struct nlmsghdr head; unsigned char body[12]; } message = {
        { .nlmsg_len = 28, .nlmsg_flags = 0x305 }, { 2, 0, 0, 10, 8, 0, 1, 0, 'a', 'b', 'c', 0 },
    };

    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_NETLINK, SOCK_RAW, protocols[i]);

        for (unsigned type = 0; type < sizeof types / sizeof *types; type++) {
            message.head.nlmsg_type = types[type];
            sendto(fd, &message, sizeof message, MSG_OOB, (struct sockaddr *) &kernel, sizeof kernel);
        }
        close(fd);
    }
}

int main(void)
{
    names();
    times();
    descriptors();
    processors();
    netlink();
    return 0;
}
