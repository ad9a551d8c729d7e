/* Vectors and messages in every form, good and bad, for a comparison with strace.
 *
 *   messages        prints `ready`, then makes the calls
 *
 * What a call returns is of no interest, and bad addresses are meant.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define MANY 40

/* What the compiler must not know, for it warns. */
static void *volatile bad = (void *) 16, *volatile none = NULL;

static struct iovec vector[MANY];
static char large[5000], room[3000];
static long ignored;

static void put(int i, void *base, size_t len)
{
    vector[i] = (struct iovec) { base, len };
}

static void vectors(const int pipe[2], char *edge)
{
    struct iovec *last = (struct iovec *) (edge - 2 * sizeof *last);

    ignored += writev(pipe[1], vector, MANY);
    put(3, bad, 2);
    ignored += writev(pipe[1], vector, 5);
    put(3, bad, 0);
    ignored += writev(pipe[1], vector, 5);
    put(3, NULL, 0);
    ignored += writev(pipe[1], vector, 5);
    put(3, large, sizeof large);
    ignored += writev(pipe[1], vector, 5);
    put(3, edge - 6, 20);
    ignored += writev(pipe[1], vector, 5);
    ignored += writev(pipe[1], vector, 0);
    ignored += writev(pipe[1], none, 3);
    ignored += writev(pipe[1], bad, 3);
    last[0] = last[1] = vector[0];
    ignored += writev(pipe[1], last, 2);
    ignored += writev(pipe[1], last, 3);

    put(0, large, 10);
    put(1, room, sizeof room);
    ignored += readv(pipe[0], vector, 2);
    ignored += readv(pipe[0], vector, 2);
    ignored += read(pipe[0], large, sizeof large);
    ignored += readv(pipe[0], vector, 2);
    ignored += preadv(pipe[0], vector, 2, 0);
}

static void control(int fd, struct msghdr *message, int level, int type, size_t len, size_t size)
{
    static union {
        char bytes[64];
        struct cmsghdr align;
    } space;
    struct cmsghdr *head = &space.align;

    memset(&space, 0, sizeof space);
    head->cmsg_level = level;
    head->cmsg_type = type;
    head->cmsg_len = len;
    message->msg_control = &space;
    message->msg_controllen = size;
    ignored += sendmsg(fd, message, MSG_DONTWAIT);
}

static void name(int fd, struct msghdr *message, void *address, socklen_t len)
{
    message->msg_name = address;
    message->msg_namelen = len;
    ignored += sendmsg(fd, message, MSG_DONTWAIT);
}

static void messages(const int pair[2])
{
    struct msghdr message = { .msg_iov = vector, .msg_iovlen = 1 };
    struct sockaddr_un nowhere = { AF_UNIX, "/nowhere" }, abstract = { AF_UNIX, "\0nobody" }, from;
    int one = 1;
    char controls[200];

    ignored += sendmsg(pair[0], &message, 0);
    message.msg_iovlen = 0;
    ignored += sendmsg(pair[0], &message, MSG_DONTWAIT);
    message.msg_iov = NULL;
    message.msg_iovlen = 3;
    ignored += sendmsg(pair[0], &message, 0);
    message.msg_iov = vector;
    message.msg_iovlen = 1;
    control(pair[0], &message, SOL_SOCKET, SCM_RIGHTS, CMSG_LEN(8), CMSG_SPACE(8));
    control(pair[0], &message, SOL_SOCKET, 77, CMSG_LEN(8), CMSG_SPACE(8));
    control(pair[0], &message, SOL_IP, IP_PKTINFO, CMSG_LEN(12), CMSG_SPACE(12));
    control(pair[0], &message, SOL_IP, IP_TTL, CMSG_LEN(4), CMSG_SPACE(4));
    control(pair[0], &message, SOL_IP, IP_TOS, 5, CMSG_SPACE(4));
    control(pair[0], &message, SOL_IPV6, 50, 60, CMSG_SPACE(4));
    control(pair[0], &message, SOL_SOCKET, SCM_RIGHTS, 20, 7);
    message.msg_control = bad;
    message.msg_controllen = 16;
    ignored += sendmsg(pair[0], &message, 0);
    message.msg_control = NULL;
    message.msg_controllen = 0;
    name(pair[0], &message, &nowhere, sizeof nowhere);
    name(pair[0], &message, &nowhere, 5);
    name(pair[0], &message, &nowhere, 2);
    name(pair[0], &message, &nowhere, 1);
    name(pair[0], &message, &abstract, 9);
    name(pair[0], &message, bad, 16);
    ignored += sendmsg(pair[0], none, 0);
    ignored += sendmsg(pair[0], bad, 0);

    setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
    for (int i = 0; i < 6; i++) {
        message = (struct msghdr) { .msg_iov = vector, .msg_iovlen = 2, .msg_name = &from, .msg_namelen = sizeof from,
                                    .msg_control = controls, .msg_controllen = i == 1 ? 20 : sizeof controls };
        ignored += recvmsg(pair[1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    }
    ignored += recvmsg(pair[1], bad, MSG_DONTWAIT);
}

int main(void)
{
    long page = sysconf(_SC_PAGESIZE);
    char *edge = mmap(NULL, (size_t) page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int pipes[2], pair[2];

    setbuf(stdout, NULL);
    puts("ready");
    if (edge == MAP_FAILED || pipe2(pipes, O_NONBLOCK) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
        return 1;
    edge += page;
    munmap(edge, (size_t) page);
    strcpy(edge - 6, "hello");
    memset(large, 'x', sizeof large);
    for (int i = 0; i < MANY; i++)
        put(i, "ab", 2);
    vectors(pipes, edge);
    put(0, "ab", 2);
    messages(pair);
    return 0;
}
