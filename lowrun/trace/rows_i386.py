"""Rows of i386's own calls (32-bit code on a 64-bit kernel), and which memory looks the same on both."""

from __future__ import annotations

__all__ = ["ALIKE", "I386_ROWS"]

#: Kinds whose layout is that of a 64-bit machine.
ALIKE = frozenset(
    (
        "path str mount_type mount_data data bytes text sockaddr optval int32 uint32 socklen wstatus tid int64 uint64"
        " fdpair sigset pollfd epoll_event utsname gid timezone cpuset fdset sched_param clone_ptid siginfo cap_header"
        " cap_data comm comm15 signal32 statx open_how sched_attr sched_attr_any perf_attr file_handle io_uring_params"
        " iocb hex32"
    ).split()
)

I386_ROWS = """
waitpid           int <wstatus wait_options
umount            path
oldstat           path addr
oldfstat          fd addr
oldlstat          path addr
stat              path addr
lstat             path addr
fstat             fd addr
stat64            path addr
lstat64           path addr
fstat64           fd addr
fstatat64         dirfd path addr at_flags
statfs64          path uint addr
fstatfs64         fd uint addr
_llseek           fd high_low unused <int64 whence
_newselect        int +fdset[0] +fdset[0] +fdset[0] addr
select            addr
mmap              addr -> hex
mmap2             addr uint prot map_flags fd pgoffset -> hex
stime             addr
time              <int32 -> time
nice              int
signal            signal addr
sigaction         signal addr addr
sgetmask
ssetmask          hex
sigsuspend        hex hex hex
sigpending        addr
sigreturn
rt_sigreturn
sigprocmask       sigmask_how addr addr
socketcall        int addr
ipc               uint int int hex addr
olduname          addr
oldolduname       addr
getrlimit         rlimit_name addr
ugetrlimit        rlimit_name addr
setrlimit         rlimit_name addr
readdir           fd addr uint
truncate64        path uint uint
ftruncate64       fd uint uint
fcntl64           fd fcntl_cmd hex
sendfile64        fd fd +int64 sent
chown32           path uid uid
lchown32          path uid uid
fchown32          fd uid uid
getuid32
getgid32
geteuid32
getegid32
setuid32          uid
setgid32          uid
setreuid32        uid uid
setregid32        uid uid
setresuid32       uid uid uid
setresgid32       uid uid uid
getresuid32       <uint32 <uint32 <uint32
getresgid32       <uint32 <uint32 <uint32
setfsuid32        uid
setfsgid32        uid
getgroups32       int <gid[r]
setgroups32       int >gid[0]
getresuid         addr addr addr
getresgid         addr addr addr
getgroups         int addr
setgroups         int addr
clock_gettime64   clock <timespec
clock_settime64   clock >timespec
clock_getres_time64 clock <timespec
clock_nanosleep_time64 clock timer_flags >timespec <remaining
futex_time64      addr futex_op uint32v addr addr hex
ppoll_time64      +pollfd[1] uint +timespec >sigset uint
timer_gettime64   int <itimerspec
timer_settime64   int timer_flags >itimerspec <itimerspec
timerfd_gettime64 fd <itimerspec
timerfd_settime64 fd timerfd_settime_flags >itimerspec <itimerspec
utimensat_time64  dirfd path >timespec2 at_flags
rt_sigtimedwait_time64 >sigset <siginfo >timespec uint
sched_rr_get_interval_time64 int <timespec
mq_timedsend_time64 fd >data[2] uint uint >timespec
mq_timedreceive_time64 fd <data[r] uint <uint32 >timespec
semtimedop_time64 int >sembuf[2] uint >timespec
pselect6_time64   int +fdset[0] +fdset[0] +fdset[0] +timespec addr
recvmmsg_time64   fd addr uint msg_flags >timespec
io_pgetevents_time64 addr int int addr >timespec addr
clock_adjtime64   clock addr
"""
