/* Makes every call with random arguments: pointers to nothing, to memory that comes and goes, to structures full
 * of such pointers; lengths that no memory has. A seccomp filter has the kernel execute none of them: they return
 * 0 or EINTR at once, after which a tracer looks at what they would have written. hostile SEED CALLS */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 64
#define NUMBERS 512

static __thread uint64_t state;
static char *arena;
static volatile int coming;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t some_pointer(void)
{
    static const uint64_t odd[] = { 0, 1, 4095, ~0ULL, ~7ULL, 1ULL << 47, (1ULL << 47) - 1, 1ULL << 63, 0xffffffffff600000 };
    uint64_t at = (uint64_t) arena;

    switch (next() % 8) {
    case 0: return odd[next() % (sizeof odd / sizeof *odd)];
    case 1: return at + PAGES * PAGE - next() % 32; /* at the very end */
    case 2: return at + (next() % PAGES) * PAGE - next() % 32;
    default: return at + next() % (PAGES * PAGE);
    }
}

static uint64_t some_number(void)
{
    static const uint64_t odd[] = { 0, ~0ULL, 1ULL << 31, (1ULL << 31) - 1, 1ULL << 32, 1ULL << 63, ~0ULL >> 1, ~15ULL, 1 << 20 };

    switch (next() % 4) {
    case 0: return odd[next() % (sizeof odd / sizeof *odd)];
    case 1: return next() % 100000;
    default: return next() % 64;
    }
}

static void scribble(char *page)
{
    for (uint64_t *word = (uint64_t *) page; word < (uint64_t *) (page + PAGE); word++)
        *word = next() % 2 ? some_pointer() : some_number();
}

/* Takes pages away and gives them back, with something else in them. The last one is never there. */
static _Noreturn void *come_and_go(void *unused)
{
    (void) unused;
    state = 1442695040888963407ULL;
    coming = 1;
    for (;;) {
        char *page = arena + next() % (PAGES - 1) * PAGE;

        munmap(page, PAGE);
        mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        scribble(page);
    }
}

static void forbid(void)
{
    static struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 8, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 7, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 4, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 4 /* EINTR */),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof rules / sizeof *rules, rules };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
        || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) < 0)
        exit(1);
}

int main(int argc, char **argv)
{
    pthread_t other;
    long calls = argc > 2 ? atol(argv[2]) : 10000;

    state = 88172645463325252ULL + (argc > 1 ? strtoull(argv[1], NULL, 10) : 0);
    arena = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < PAGES - 1; i++)
        scribble(arena + i * PAGE);
    munmap(arena + (PAGES - 1) * PAGE, PAGE);
    pthread_create(&other, NULL, come_and_go, NULL);
    while (!coming) /* what it does to begin must not be forbidden */
        sched_yield();
    forbid();
    while (calls-- > 0) {
        uint64_t args[6];
        long nr = (long) (next() % NUMBERS);

        if (nr == SYS_mmap || nr == SYS_munmap || nr == SYS_exit_group || nr == SYS_exit || nr == SYS_rt_sigreturn
            || nr == 335 || nr == 336) /* x86's uretprobe and uprobe: SIGILL */
            continue;
        for (int i = 0; i < 6; i++)
            args[i] = next() % 2 ? some_pointer() : some_number();
        syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
    }
    syscall(SYS_exit_group, 0);
}
