/* Calls for a tracer to change, each told what it gave:  tampered WHAT
 *
 *   uids          geteuid 6 times; prints each result, or minus its errno
 *   threads       2 threads of 4 geteuid each; prints `FIRST SECOND`, a digit per failed call's place
 *   slow          a child sleeps on a pipe's read 20 times for what the parent writes; prints `over`
 *   vfork         a vfork child opens /etc/hosts and exits with its errno; prints that
 *   read          reads 4 bytes of /dev/zero over "full"; prints them
 *   signals       counts SIGUSR1 during 3 geteuid; prints how many
 *
 * Each prints `ready` first.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static long uid(void)
{
    long result = syscall(SYS_geteuid);

    return result < 0 ? -errno : result;
}

static void uids(void)
{
    for (int i = 0; i < 6; i++)
        printf("%ld\n", uid());
}

static void *thread(void *argument)
{
    char *places = argument;

    for (int i = 0; i < 4; i++)
        if (uid() < 0)
            *places++ = (char) ('1' + i);
    return NULL;
}

static void threads(void)
{
    char places[2][8] = { "", "" };
    pthread_t ids[2];

    for (int i = 0; i < 2; i++)
        pthread_create(&ids[i], NULL, thread, places[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(ids[i], NULL);
    printf("%s %s\n", places[0], places[1]);
}

static void slow(void)
{
    int ends[2];
    char byte = 0;

    if (pipe(ends) < 0)
        return;
    if (fork() == 0) {
        for (int i = 0; i < 20 && read(ends[0], &byte, 1) == 1; i++)
            ;
        _exit(0);
    }
    for (int i = 0; i < 20; i++)
        if (write(ends[1], &byte, 1) != 1)
            return;
    wait(NULL);
    puts("over");
}

static void of_vfork(void)
{
    int status = 0;
    pid_t child = vfork();

    if (child == 0)
        _exit(syscall(SYS_openat, AT_FDCWD, "/etc/hosts", O_RDONLY) < 0 ? errno : 0);
    waitpid(child, &status, 0);
    printf("%d\n", WEXITSTATUS(status));
}

static void reading(void)
{
    char bytes[5] = "full";
    int fd = open("/dev/zero", O_RDONLY);
    long got = read(fd, bytes, 4);

    printf("%ld %.4s\n", got, bytes);
}

static void on_signal(int signo)
{
    (void) signo;
    caught++;
}

static void signals(void)
{
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < 3; i++)
        uid();
    printf("%d\n", (int) caught);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); } table[] = {
        { "uids", uids }, { "threads", threads }, { "slow", slow }, { "vfork", of_vfork }, { "read", reading },
        { "signals", signals },
    };

    puts("ready");
    fflush(stdout);
    for (size_t i = 0; argc == 2 && i < sizeof table / sizeof *table; i++)
        if (strcmp(argv[1], table[i].name) == 0)
            table[i].run();
    return 0;
}
