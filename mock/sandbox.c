/* A program with a seccomp filter of its own, and what its calls give under it:
 * getpid is handed to a tracer (ENOSYS without one), uname is refused with EACCES, getppid is allowed.
 *
 *   sandbox [prctl]    the filter is installed by seccomp(2), or by prctl(2)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static struct sock_filter rules[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_getpid, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 7),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_uname, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void show(const char *name, long result)
{
    printf("%s %s\n", name, result >= 0 ? "done" : errno == ENOSYS ? "ENOSYS" : errno == EACCES ? "EACCES" : "failed");
}

int main(int argc, char **argv)
{
    struct sock_fprog filter = { sizeof rules / sizeof *rules, rules };
    struct utsname name;
    long result;

    (void) argv;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return 1;
    if (argc > 1)
        result = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
    else
        result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
    if (result < 0)
        return 1;
    puts("ready");
    show("getpid", syscall(SYS_getpid));
    show("uname", uname(&name));
    show("getppid", syscall(SYS_getppid));
    return 0;
}
