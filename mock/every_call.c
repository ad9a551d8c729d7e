/* Makes every system call from FIRST to LAST with the arguments given (0 to 6 numbers as strtoull reads them), none of
 * which the kernel carries out: a seccomp filter answers all but exit_group(2) with ENOSYS. A tracer sees the entry of
 * each, since ptrace's stop comes before the filter. Left out are those that only the kernel's own trampolines make.
 *
 *     every_call FIRST LAST [ARGUMENT...]
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { URETPROBE = 335, UPROBE = 336 };

int main(int argc, char **argv)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    unsigned long long a[6] = { 0 };

    if (argc < 3)
        return 2;
    for (int i = 0; i < 6 && i + 3 < argc; i++)
        a[i] = strtoull(argv[i + 3], NULL, 0);
    puts("ready");
    fflush(stdout);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 3;
    for (long nr = atol(argv[1]); nr <= atol(argv[2]); nr++)
        if (nr != SYS_exit_group && nr != UPROBE && nr != URETPROBE)
            syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    syscall(SYS_exit_group, 0);
}
