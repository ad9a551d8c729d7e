/* Calls of other kinds from 64-bit code: the 32-bit one by int 0x80, and x32's numbers. Exits with 0 when each
 * does what it does without a tracer.
 *
 *     foreign
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { GETPID_32 = 20, READ_32 = 3, OPEN_32 = 5, CLOSE_32 = 6, GETPPID_32 = 64, X32 = 0x40000000 };

static long call_32(long number, long first, long second, long third)
{
    long result;

    __asm__ volatile("int $0x80" : "=a" (result) : "a" (number), "b" (first), "c" (second), "d" (third)
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}

static long call_x32(long number)
{
    long result;

    __asm__ volatile("syscall" : "=a" (result) : "a" (number | X32) : "memory", "rcx", "r11");
    return result;
}

int main(void)
{
    char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    long fd, x32;

    if (call_32(GETPID_32, 0, 0, 0) == -ENOSYS)
        return 77;                     /* the kernel has no 32-bit calls */
    strcpy(low, "/dev/zero");
    memset(low + 16, 1, 8);
    if (call_32(GETPID_32, 0, 0, 0) != getpid() || call_32(GETPPID_32, 0, 0, 0) != getppid())
        return 1;
    fd = call_32(OPEN_32, (long) low, 0, 0);
    if (fd < 0 || call_32(READ_32, fd, (long) low + 16, 8) != 8 || low[16] != 0 || call_32(CLOSE_32, fd, 0, 0) != 0)
        return 2;
    x32 = call_x32(SYS_getpid);
    return x32 == -ENOSYS || x32 == getpid() ? 0 : 3;
}
