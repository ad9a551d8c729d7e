/* Makes descriptors of every kind and does with them what changes what they are.
 * `descriptors PART`: one part a run, each in the working directory. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char byte = 'x';

/* One call that shows what the descriptor is. */
static void use(int fd)
{
    fcntl(fd, F_GETFD);
}

static void kinds(void)
{
    int pair[2], fd;
    sigset_t set;

    use(open("/dev/null", O_RDWR));
    use(open("/dev/zero", O_RDONLY));
    use(open("/dev", O_RDONLY | O_DIRECTORY));
    use(creat("plain", 0644));
    use(creat("odd \"quo'te\\ <x>\n\x80" "1", 0644));
    use(creat("not (deleted)", 0644));
    mknod("fifo", S_IFIFO | 0600, 0);
    use(open("fifo", O_RDWR));
    mknod("node", S_IFCHR | 0600, 1 << 8 | 3);
    use(open("node", O_RDWR));
    use(open("plain", O_PATH));
    pipe(pair);
    write(pair[1], &byte, 1);
    pipe2(pair, O_CLOEXEC);
    use(pair[0]);
    use(eventfd(0, 0));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    use(signalfd(-1, &set, 0));
    use(timerfd_create(CLOCK_MONOTONIC, 0));
    use(inotify_init1(0));
    use(memfd_create("some memory", 0));
    fd = epoll_create1(0);
    epoll_ctl(fd, EPOLL_CTL_ADD, pair[0], &(struct epoll_event) { .events = EPOLLIN });
    fd = syscall(SYS_pidfd_open, getpid(), 0);
    use(fd);
    use(syscall(SYS_pidfd_getfd, fd, 99, 0));
    use(fd);
    use(open(".", O_TMPFILE | O_RDWR, 0600));
    use(99);
    use(-1);
}

/* A pidfd of a process that is gone. */
static void ended(void)
{
    pid_t pid = fork();
    int fd;

    if (pid == 0)
        _exit(0);
    fd = syscall(SYS_pidfd_open, pid, 0);
    use(fd);
    waitpid(pid, NULL, 0);
    use(fd);
}

static void duplicates(void)
{
    int fd = open("/dev/null", O_RDWR), other = creat("plain", 0644);

    use(dup(fd));
    dup2(fd, 20);
    use(20);
    dup2(other, 20);
    use(20);
    dup2(fd, fd);
    dup3(fd, 21, O_CLOEXEC);
    use(21);
    use(fcntl(fd, F_DUPFD, 30));
    use(fcntl(other, F_DUPFD_CLOEXEC, 30));
    close(20);
    use(20);
    syscall(SYS_close_range, 30, 30, 0);
    use(30);
    use(31);
    close(fd);
    fd = open("/etc", O_RDONLY | O_DIRECTORY);
    use(fd);
    openat(fd, "hostname", O_RDONLY);
}

static void removed(void)
{
    int file = creat("file", 0644), directory, deep, victim, linked;

    mkdir("dir", 0755);
    mkdir("dir/inner", 0755);
    directory = open("dir", O_RDONLY | O_DIRECTORY);
    deep = creat("dir/inner/deep", 0644);
    victim = creat("victim", 0644);
    linked = creat("linked", 0644);
    link("linked", "second");
    unlink("second");
    use(linked);
    use(file);
    unlink("file");
    use(file);
    rename("dir", "moved");
    use(directory);
    use(deep);
    creat("fresh", 0644);
    rename("fresh", "victim");
    use(victim);
    unlinkat(directory, "inner/deep", 0);
    use(deep);
    unlinkat(directory, "inner", AT_REMOVEDIR);
    use(deep);
    chdir("moved");
    use(directory);
    openat(AT_FDCWD, "x", O_RDONLY);
    rename("../moved", "../again");
    use(deep);
    openat(AT_FDCWD, "x", O_RDONLY);
    rmdir("../again/");
    use(directory);
    openat(AT_FDCWD, "x", O_RDONLY);
    fchdir(open("/", O_RDONLY | O_DIRECTORY));
    openat(AT_FDCWD, "nowhere", O_RDONLY);
}

/* What another process removes. */
static void removed_by_child(void)
{
    int file = creat("file", 0644);

    if (fork() == 0) {
        use(file);
        unlink("file");
        use(file);
        close(file);
        use(file);
        _exit(0);
    }
    wait(NULL);
    use(file);
}

static int bound(int family, int type, int protocol, const char *host)
{
    int fd = socket(family, type, protocol);
    struct sockaddr_storage address = { .ss_family = (sa_family_t) family };

    if (family == AF_INET)
        inet_pton(family, host, &((struct sockaddr_in *) &address)->sin_addr);
    else
        inet_pton(family, host, &((struct sockaddr_in6 *) &address)->sin6_addr);
    use(fd);
    bind(fd, (struct sockaddr *) &address, family == AF_INET ? 16 : 28);
    use(fd);
    return fd;
}

static void tcp_of(int family, const char *host)
{
    int listener = bound(family, SOCK_STREAM, 0, host), client, server, flags = 0;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;

    listen(listener, 5);
    use(listener);
    getsockname(listener, (struct sockaddr *) &address, &size);
    client = socket(family, SOCK_STREAM, 0);
    connect(client, (struct sockaddr *) &address, size);
    use(client);
    server = accept(listener, NULL, NULL);
    write(server, &byte, 1);
    read(client, &byte, 1);
    shutdown(client, SHUT_WR);
    use(client);
    close(client);
    close(server);
    client = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(client, (struct sockaddr *) &address, size);
    poll(&(struct pollfd) { client, POLLOUT, 0 }, 1, -1);
    size = sizeof flags;
    getsockopt(client, SOL_SOCKET, SO_ERROR, &flags, &size);
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(client);
    close(listener);
    client = socket(family, SOCK_STREAM, 0);       /* refused */
    connect(client, (struct sockaddr *) &address, family == AF_INET ? 16 : 28);
    use(client);
    listen(client, 5);
    use(client);
    client = bound(family, SOCK_STREAM, 0, host);  /* bound, then refused */
    connect(client, (struct sockaddr *) &address, family == AF_INET ? 16 : 28);
    use(client);
}

static void inet(void)
{
    int fd, other;
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;

    tcp_of(AF_INET, "127.0.0.1");
    fd = bound(AF_INET, SOCK_DGRAM, 0, "127.0.0.1");
    getsockname(fd, (struct sockaddr *) &address, &size);
    other = socket(AF_INET, SOCK_DGRAM, 0);
    use(other);
    sendto(other, &byte, 1, 0, (struct sockaddr *) &address, size);
    use(other);
    connect(other, (struct sockaddr *) &address, size);
    use(other);
    other = socket(AF_INET, SOCK_DGRAM, 0);
    connect(other, (struct sockaddr *) &address, size);
    use(other);
    other = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    use(other);
    use(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
    use(socket(AF_PACKET, SOCK_DGRAM, 0));
    use(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
}

static void inet6(void)
{
    tcp_of(AF_INET6, "::1");
    bound(AF_INET6, SOCK_DGRAM, 0, "::1");
    use(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
}

static void unix_of(int type, const char *name, size_t size)
{
    int server = socket(AF_UNIX, type, 0), client = socket(AF_UNIX, type, 0), pair[2];
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    memcpy(address.sun_path, name, size);
    size += offsetof(struct sockaddr_un, sun_path);
    use(server);
    bind(server, (struct sockaddr *) &address, size);
    use(server);
    listen(server, 5);
    use(client);
    connect(client, (struct sockaddr *) &address, size);
    use(client);
    if (type != SOCK_DGRAM)
        use(accept(server, NULL, NULL));
    socketpair(AF_UNIX, type, 0, pair);
    use(pair[0]);
    send(pair[1], &byte, 1, 0);
}

static void local(void)
{
    char name[64];

    unix_of(SOCK_STREAM, "stream.sock", 12);
    unix_of(SOCK_DGRAM, "dgram.sock", 11);
    unix_of(SOCK_SEQPACKET, "odd \"<\n.sock", 13);
    unix_of(SOCK_STREAM, name, snprintf(name, sizeof name, "%cabstract \"\\ %d", 0, getpid()));
}

static void netlink(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    struct sockaddr_nl address = { .nl_family = AF_NETLINK };

    use(fd);
    bind(fd, (struct sockaddr *) &address, sizeof address);
    use(fd);
    use(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC));
}

static int receive(int fd)
{
    char control[CMSG_SPACE(8)];
    struct iovec part = { &byte, 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    int got = -1;

    recvmsg(fd, &message, 0);
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), 4);
    return got;
}

static void passed(void)
{
    int pair[2], given = open("/etc/hostname", O_RDONLY);
    char control[CMSG_SPACE(4)] = { 0 };
    struct iovec part = { &byte, 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(4);
    memcpy(CMSG_DATA(head), &given, 4);
    sendmsg(pair[0], &message, 0);
    use(receive(pair[1]));
}

static int worker(void *argument)
{
    int fd = open("/dev/null", O_RDONLY);

    use(*(int *) argument);
    close(*(int *) argument);
    use(fd);
    chdir("/");
    return 0;
}

static void shared_with(int flags)
{
    static char stack[65536] __attribute__((aligned(16)));
    int fd = open("/etc/hostname", O_RDONLY);

    waitpid(clone(worker, stack + sizeof stack, flags | SIGCHLD, &fd), NULL, 0);
    use(fd);
    use(fd + 1);
    openat(AT_FDCWD, "nowhere", O_RDONLY);
}

static void *thread(void *argument)
{
    worker(argument);
    return NULL;
}

static void *unsharing(void *argument)
{
    unshare(CLONE_FILES);
    close(*(int *) argument);
    use(*(int *) argument);
    use(open("/dev/zero", O_RDONLY));
    return NULL;
}

static void run_thread(void *(*body)(void *))
{
    pthread_t id;
    int fd = open("/etc/hostname", O_RDONLY);

    pthread_create(&id, NULL, body, &fd);
    pthread_join(id, NULL);
    use(fd);
    use(fd + 1);
    openat(AT_FDCWD, "nowhere", O_RDONLY);
}

static void shared(void)
{
    shared_with(CLONE_FILES);
    shared_with(CLONE_FILES | CLONE_VM | CLONE_FS);
    shared_with(0);
    shared_with(CLONE_VM | CLONE_VFORK);
    run_thread(thread);
    run_thread(unsharing);
}

static void executed(const char *self)
{
    open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    open("/etc/hosts", O_RDONLY);
    syscall(SYS_close_range, 9, ~0U, CLOSE_RANGE_CLOEXEC);
    dup2(4, 9);
    syscall(SYS_close_range, 9, ~0U, CLOSE_RANGE_CLOEXEC);
    use(9);
    execl(self, self, "after", NULL);
}

static void after(void)
{
    for (int fd = 3; fd < 10; fd++)
        use(fd);
    openat(AT_FDCWD, "nowhere", O_RDONLY);
}

static const char *const files[] = { "/etc/hostname", "/etc/hosts", "/etc/passwd", "/etc/group" };

static void *hand(void *argument)
{
    for (int i = 0; i < 300; i++) {
        int fd = open(argument, O_RDONLY);

        use(fd);
        close(fd);
    }
    return NULL;
}

/* Threads that get each other's numbers. */
static void changing_hands(void)
{
    pthread_t ids[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&ids[i], NULL, hand, (void *) files[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(ids[i], NULL);
}

static void waiting(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), queue = epoll_create1(0);
    struct timeval now = { 0, 0 };
    struct sockaddr_in address = { .sin_family = AF_INET };
    fd_set set;

    FD_ZERO(&set);
    FD_SET(fd, &set);
    FD_SET(0, &set);
    poll((struct pollfd[]) { { fd, POLLIN, 0 }, { 0, POLLIN, 0 } }, 2, 0);
    select(fd + 1, &set, NULL, NULL, &now);
    bind(fd, (struct sockaddr *) &address, sizeof address);
    poll((struct pollfd[]) { { fd, POLLIN, 0 } }, 1, 0);
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    bind(fd, (struct sockaddr *) &address, sizeof address);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    select(fd + 1, &set, NULL, NULL, &now);
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    bind(fd, (struct sockaddr *) &address, sizeof address);
    epoll_ctl(queue, EPOLL_CTL_ADD, fd, &(struct epoll_event) { .events = EPOLLIN });
}

static void *use_all(void *argument)
{
    for (int fd = 3; fd < 10; fd++)
        use(fd);
    return NULL;
}

static void *wait_and_use(void *argument)
{
    read(0, &byte, 1);
    return use_all(argument);
}

/* Has made everything when it says `ready`, and uses it when told to: in a thread, in another one, in a child. */
static void held(void)
{
    pthread_t id, other;
    int pair[2];

    open("/dev/null", O_RDONLY);
    bound(AF_INET, SOCK_DGRAM, 0, "127.0.0.1");
    socket(AF_INET, SOCK_STREAM, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    chdir("/etc");
    pthread_create(&id, NULL, wait_and_use, NULL);
    write(1, "ready\n", 6);
    pthread_join(id, NULL);
    pthread_create(&other, NULL, use_all, NULL);
    pthread_join(other, NULL);
    if (fork() == 0)
        use_all(NULL);
    else
        wait(NULL);
    openat(AT_FDCWD, "nowhere", O_RDONLY);
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : "";

    static const struct { const char *name; void (*body)(void); } parts[] = {
        { "kinds", kinds }, { "ended", ended }, { "duplicates", duplicates }, { "removed", removed },
        { "removed_by_child", removed_by_child }, { "inet", inet }, { "inet6", inet6 }, { "local", local },
        { "netlink", netlink }, { "passed", passed }, { "shared", shared }, { "after", after },
        { "waiting", waiting }, { "changing_hands", changing_hands }, { "held", held },
    };

    if (strcmp(part, "executed") == 0)
        executed(argv[0]);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(part, parts[i].name) == 0)
            parts[i].body();
    return 0;
}
