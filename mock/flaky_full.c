/* Writes a random number of blocks to a disk that has room for some 15 of them, its own: a small tmpfs in a mount
 * namespace of its own, on DIRECTORY.
 *
 *     flaky_full DIRECTORY
 *
 * Prints `ready`, then its truth: `written`, or `the disk is full` and exits 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char block[4096];
    unsigned char random = 0;

    puts("ready");
    fflush(stdout);
    if (argc != 2 || (unshare(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0)) != 0) ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", argv[1], "tmpfs", 0, "size=64k") != 0 || chdir(argv[1]) != 0) {
        perror("flaky_full");
        return 99;
    }
    if (getrandom(&random, 1, 0) != 1)
        return 99;
    int file = open("data", O_WRONLY | O_CREAT, 0600);
    for (int left = 12 + random % 8; left > 0; left--)
        if (write(file, block, sizeof block) != sizeof block) {
            puts(errno == ENOSPC ? "the disk is full" : "another error");
            return 1;
        }
    puts("written");
    return 0;
}
