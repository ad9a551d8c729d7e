/* Children made in uncommon ways, each waited for; exits with 0.
 *
 *     clones ptraced           CLONE_PTRACE | CLONE_UNTRACED: traced, but its creator's tracer is not told
 *     clones untraced          CLONE_UNTRACED: not traced
 *     clones storm THREADS N   each thread makes N children, one after the other
 *     clones cut THREADS       each thread makes children without end, until the first one exits with all of them
 *     clones vectors           writev of 40 elements to standard output
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int children;

static int clone_with(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        syscall(SYS_exit_group, 0);
    return waitpid((pid_t) pid, NULL, __WALL) == pid ? 0 : 1;
}

static void *storm(void *unused)
{
    for (int i = 0; i < children; i++)
        clone_with(0);
    return unused;
}

static void *endless(void *unused)
{
    for (;;)
        clone_with(0);
    return unused;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "ptraced") == 0)
        return clone_with(CLONE_PTRACE | CLONE_UNTRACED);
    if (strcmp(what, "untraced") == 0)
        return clone_with(CLONE_UNTRACED);
    if (strcmp(what, "storm") == 0 && argc == 4) {
        int count = atoi(argv[2]);
        pthread_t threads[64];

        children = atoi(argv[3]);
        for (int i = 0; i < count && i < 64; i++)
            pthread_create(&threads[i], NULL, storm, NULL);
        for (int i = 0; i < count && i < 64; i++)
            pthread_join(threads[i], NULL);
        return 0;
    }
    if (strcmp(what, "cut") == 0 && argc == 3) {
        pthread_t thread;

        for (int i = 0; i < atoi(argv[2]); i++)
            pthread_create(&thread, NULL, endless, NULL);
        usleep(20000);
        _exit(0);
    }
    if (strcmp(what, "vectors") == 0) {
        struct iovec vectors[40];

        for (int i = 0; i < 40; i++)
            vectors[i] = (struct iovec) { "abc", 3 };
        return writev(1, vectors, 40) != 120;
    }
    return 2;
}
