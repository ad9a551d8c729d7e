/* Writes from memory that is never there: whoever reads it, here or from outside, waits (userfaultfd(2)). */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register range = {
        .range = { (unsigned long) page, 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING,
    };
    int fd = (int) syscall(SYS_userfaultfd, O_CLOEXEC);

    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0) {
        puts("unsupported");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    return write(open("/dev/null", O_WRONLY), page, 4096) < 0;
}
