"""The declarative rows of the system call table: one call, one line.

    NAME  ARGUMENT...  [-> RESULT]

An argument is a kind (`int`, `fd`, `path`, `open_flags`, ...). A sign before
it says which way the memory that it points to goes, and so when it is copied:

    >kind    the kernel reads it: copied at entry
    <kind    the kernel writes it: copied at exit
    +kind    both: at entry and at exit

`[K]` after it counts elements: argument K's value, `[r]` the result, `[*K]`
the 32-bit number that argument K points to. `path`, `str`, `argv` and `envp`
are read by the kernel and need no sign. `?` at the end: the argument is
printed only where the others call for it (open's mode without O_CREAT).

RESULT is `fd`, `hex`, `oct`, `uint` or `none`; without one it is decimal.
Calls without a row are known by python-ptrace's prototypes alone.
"""

from __future__ import annotations

__all__ = ["ROWS", "SIZES"]

#: Bytes of what a kind points to (of one element where it is counted).
SIZES = {
    "data": 1, "sockbuf": 1, "names": 1, "value": 1, "dirents": 1, "text": 1, "sockaddr": 1, "optval": 1, "raw": 1,
    "fdset": 1, "epoll_arg": 12, "iovec": 16,
    "int32": 4, "uint32": 4, "fdnum": 4, "socklen": 4, "wstatus": 4, "tid": 4, "int64": 8, "uint64": 8,
    "fdpair": 8, "stat": 144, "statfs": 120, "statx": 256, "timespec": 16, "timeval": 16, "itimerval": 32,
    "itimerspec": 32, "rlimit": 16, "rusage": 144, "sigset": 8, "sigaction": 32, "siginfo": 128, "stack": 24,
    "pollfd": 8, "epoll_event": 12, "utsname": 390, "sysinfo": 112, "clone_args": 88, "open_how": 24, "gid": 4,
    "tms": 32, "timezone": 8, "cpuset": 1, "fcntl_arg": 32, "ioctl_arg": 36,
    "prctl_arg": 16, "futex_timeout": 16, "clone_ptid": 4, "remaining": 16, "bytes": 1,
    "sched_param": 4, "sigset_arg": 16, "timespec2": 32, "timeval2": 32, "utimbuf": 16, "sigframe": 8,
}  # fmt: skip

ROWS = """
read              fd <data[r] uint
write             fd >data[2] uint
open              path open_flags mode? -> fd
close             fd
stat              path <stat
fstat             fd <stat
lstat             path <stat
poll              +pollfd[1] uint int
lseek             fd long whence
mmap              addr uint prot map_flags fd hexlong -> hex
mprotect          addr uint prot
munmap            addr uint
brk               addr -> hex
rt_sigaction      signal >sigaction <sigaction uint
rt_sigprocmask    sigmask_how >sigset <sigset uint
rt_sigreturn      >sigframe
ioctl             fd ioctl_cmd +ioctl_arg?
pread64           fd <data[r] uint long
pwrite64          fd >data[2] uint long
readv             fd +iovec[2] int
writev            fd >iovec[2] int
access            path access_mode
pipe              <fdpair
select            int +fdset[0] +fdset[0] +fdset[0] +timeval
mremap            addr uint uint mremap_flags addr_if_fixed? -> hex
msync             addr uint msync_flags
mincore           addr uint addr
madvise           addr uint madvise
shmget            ipc_key uint hex
shmat             int addr hex -> hex
shmctl            int int addr
dup               fd -> fd
dup2              fd fd -> fd
pause
nanosleep         >timespec <remaining
getitimer         itimer <itimerval
alarm             uint
setitimer         itimer >itimerval <itimerval
getpid            -> pid
sendfile          fd fd +int64 sent
socket            family socktype protocol -> fd
connect           fd >sockaddr[2] int
accept            fd <sockaddr[*2] +socklen -> fd
sendto            fd >sockbuf[2] uint msg_flags >sockaddr[5] uint
recvfrom          fd <sockbuf[r] uint msg_flags <sockaddr[*5] +socklen
sendmsg           fd >msghdr msg_flags
recvmsg           fd +msghdr msg_flags
shutdown          fd shutdown
bind              fd >sockaddr[2] int
listen            fd int
getsockname       fd <sockaddr[*2] +socklen
getpeername       fd <sockaddr[*2] +socklen
socketpair        family socktype protocol <fdpair
setsockopt        fd sockopt_level sockopt >optval[4] int
getsockopt        fd sockopt_level sockopt <optval[*4] +socklen
clone             clone_stack clone_flags <clone_ptid? clone_tls? clone_ctid?
fork
vfork
execve            path argv envp
exit              int -> none
wait4             int <wstatus wait_options <rusage
kill              int signal
uname             <utsname
semget            ipc_key int hex
semop             int addr uint
shmdt             addr
msgget            ipc_key hex
msgsnd            int addr uint hex
msgrcv            int addr uint long hex
fcntl             fd fcntl_cmd >fcntl_arg? -> fcntl
flock             fd flock
fsync             fd
fdatasync         fd
truncate          path long
ftruncate         fd long
getdents          fd <dirents[r] uint
getcwd            <text[r] uint
chdir             path
fchdir            fd
rename            path path
mkdir             path mode
rmdir             path
creat             path mode -> fd
link              path path
unlink            path
symlink           path path
readlink          path <data[r] uint
chmod             path mode
fchmod            fd mode
chown             path uid uid
fchown            fd uid uid
lchown            path uid uid
umask             mode -> oct
gettimeofday      <timeval <timezone
getrlimit         rlimit_name <rlimit
getrusage         rusage_who <rusage
sysinfo           <sysinfo
times             <tms
ptrace            hex int addr addr
getuid
syslog            int addr int
getgid
setuid            uid
setgid            uid
geteuid
getegid
setpgid           int int
getppid
getpgrp
setsid
setreuid          uid uid
setregid          uid uid
getgroups         int <gid[r]
setgroups         int >gid[0]
setresuid         uid uid uid
getresuid         <uint32 <uint32 <uint32
setresgid         uid uid uid
getresgid         <uint32 <uint32 <uint32
getpgid           int
setfsuid          uid
setfsgid          uid
getsid            int
capget            addr addr
capset            addr addr
rt_sigpending     <sigset uint
rt_sigtimedwait   >sigset <siginfo >timespec uint
rt_sigqueueinfo   int signal >siginfo
rt_sigsuspend     >sigset uint
sigaltstack       >stack <stack
utime             path >utimbuf
mknod             path mknod_mode dev?
uselib            path
personality       hex
statfs            path <statfs
fstatfs           fd <statfs
getpriority       priority_which int
setpriority       priority_which int int
sched_setparam    int >sched_param
sched_getparam    int <sched_param
sched_setscheduler int scheduler >sched_param
sched_getscheduler int -> scheduler
sched_get_priority_max scheduler
sched_get_priority_min scheduler
sched_rr_get_interval int <timespec
mlock             addr uint
munlock           addr uint
mlockall          mlockall_flags
munlockall
vhangup
pivot_root        path path
prctl             prctl_option >prctl_arg? prctl_more? prctl_more? prctl_more?
arch_prctl        arch_prctl addr
setrlimit         rlimit_name >rlimit
chroot            path
sync
acct              path
settimeofday      >timeval >timezone
mount             path path str mount_flags addr
umount2           path umount_flags
swapon            path hex
swapoff           path
reboot            hex hex hex addr
sethostname       >data[1] uint
setdomainname     >data[1] uint
gettid            -> pid
readahead         fd long uint
setxattr          path str >value[3] uint xattr_flags
lsetxattr         path str >value[3] uint xattr_flags
fsetxattr         fd str >value[3] uint xattr_flags
getxattr          path str <value[r] uint
lgetxattr         path str <value[r] uint
fgetxattr         fd str <value[r] uint
listxattr         path <names[r] uint
llistxattr        path <names[r] uint
flistxattr        fd <names[r] uint
removexattr       path str
lremovexattr      path str
fremovexattr      fd str
tkill             int signal
time              addr
futex             addr futex_op futex_count? >futex_timeout? futex_addr? futex_value?
sched_setaffinity int uint >cpuset[1]
sched_getaffinity int uint <cpuset[r]
io_setup          uint addr
io_destroy        hex
epoll_create      int -> fd
remap_file_pages  addr uint prot uint map_flags
getdents64        fd <dirents[r] uint
set_tid_address   addr -> pid
restart_syscall   resuming
semtimedop        int addr uint >timespec
fadvise64         fd long long fadvise
timer_create      clock addr <int32
timer_settime     int timer_flags >itimerspec <itimerspec
timer_gettime     int <itimerspec
timer_getoverrun  int
timer_delete      int
clock_settime     clock >timespec
clock_gettime     clock <timespec
clock_getres      clock <timespec
clock_nanosleep   clock timer_flags >timespec <remaining
exit_group        int -> none
epoll_wait        fd <epoll_event[r] int int
epoll_ctl         fd epoll_op fd >epoll_arg
tgkill            int int signal
utimes            path >timeval2
mbind             addr uint hex addr uint hex
get_mempolicy     addr addr uint addr hex
mq_open           str open_flags mode? addr? -> fd
mq_unlink         str
mq_timedsend      fd >data[2] uint uint >timespec
mq_timedreceive   fd <data[r] uint <uint32 >timespec
waitid            waitid_type int <siginfo wait_options <rusage
add_key           str str >data[3] uint int
request_key       str str str int
ioprio_set        int int hex
ioprio_get        int int
inotify_init      -> fd
inotify_add_watch fd path inotify_mask
inotify_rm_watch  fd int
openat            dirfd path open_flags mode? -> fd
mkdirat           dirfd path mode
mknodat           dirfd path mknod_mode dev?
fchownat          dirfd path uid uid at_flags
futimesat         dirfd path >timeval2
newfstatat        dirfd path <stat at_flags
unlinkat          dirfd path at_flags
renameat          dirfd path dirfd path
linkat            dirfd path dirfd path at_flags
symlinkat         path dirfd path
readlinkat        dirfd path <data[r] uint
fchmodat          dirfd path mode
faccessat         dirfd path access_mode
pselect6          int +fdset[0] +fdset[0] +fdset[0] +timespec >sigset_arg
ppoll             +pollfd[1] uint +timespec >sigset uint
unshare           clone_only_flags
set_robust_list   addr uint
get_robust_list   int <uint64 <uint64
splice            fd +int64 fd +int64 uint splice_flags
tee               fd fd uint splice_flags
sync_file_range   fd long long hex
vmsplice          fd >iovec[2] uint splice_flags
move_pages        int uint addr addr addr hex
utimensat         dirfd path >timespec2 at_flags
epoll_pwait       fd <epoll_event[r] int int >sigset uint
signalfd          fd >sigset uint -> fd
timerfd_create    clock timerfd_flags -> fd
eventfd           uint -> fd
fallocate         fd falloc_mode long long
timerfd_settime   fd timerfd_settime_flags >itimerspec <itimerspec
timerfd_gettime   fd <itimerspec
accept4           fd <sockaddr[*2] +socklen sock_flags -> fd
signalfd4         fd >sigset uint sock_flags_fd -> fd
eventfd2          uint efd_flags -> fd
epoll_create1     epoll_flags -> fd
dup3              fd fd fd_flags -> fd
pipe2             <fdpair fd_flags
inotify_init1     inotify_init_flags -> fd
preadv            fd +iovec[2] int long
pwritev           fd >iovec[2] int long
rt_tgsigqueueinfo int int signal >siginfo
perf_event_open   addr int int fd hex -> fd
recvmmsg          fd addr uint msg_flags >timespec
fanotify_init     hex hex -> fd
fanotify_mark     fd hex hex dirfd path
prlimit64         int rlimit_name >rlimit <rlimit
name_to_handle_at dirfd path addr addr hex
open_by_handle_at fd addr open_flags -> fd
clock_adjtime     clock addr
syncfs            fd
sendmmsg          fd addr uint msg_flags
setns             fd clone_only_flags
getcpu            <uint32 <uint32 addr
process_vm_readv  int addr uint addr uint hex
process_vm_writev int addr uint addr uint hex
kcmp              int int int uint uint
finit_module      fd str hex
sched_setattr     int addr hex
sched_getattr     int addr uint hex
renameat2         dirfd path dirfd path rename_flags
seccomp           seccomp_op hex addr
getrandom         <bytes[r] uint grnd_flags
memfd_create      str memfd_flags -> fd
kexec_file_load   fd fd uint str hex
bpf               hex addr uint -> fd
execveat          dirfd path argv envp at_flags
userfaultfd       hex -> fd
membarrier        membarrier_cmd hex int
mlock2            addr uint hex
copy_file_range   fd +int64 fd +int64 uint hex
preadv2           fd +iovec[2] int long unused? rwf_flags
pwritev2          fd >iovec[2] int long unused? rwf_flags
pkey_mprotect     addr uint prot int
pkey_alloc        hex hex
pkey_free         int
statx             dirfd path statx_flags statx_mask <statx
io_pgetevents     hex long long addr addr addr
rseq              addr hex hexlong hex
pidfd_send_signal fd signal addr hex
io_uring_setup    uint addr -> fd
io_uring_enter    fd uint uint hex addr uint
io_uring_register fd uint addr uint
open_tree         dirfd path hex -> fd
move_mount        dirfd path dirfd path hex
fsopen            str hex -> fd
fsconfig          fd int str addr int
fsmount           fd hex hex -> fd
fspick            dirfd path hex -> fd
pidfd_open        int pidfd_flags -> fd
clone3            +clone_args clone3_tail
close_range       uint uint close_range_flags
openat2           dirfd path >open_how uint -> fd
pidfd_getfd       fd int hex -> fd
faccessat2        dirfd path access_mode at_flags
process_madvise   fd >iovec[2] uint madvise hex
epoll_pwait2      fd <epoll_event[r] int >timespec >sigset uint
mount_setattr     dirfd path hex addr uint
quotactl_fd       fd hex uint addr
landlock_create_ruleset addr uint hex -> fd
landlock_add_rule fd int addr hex
landlock_restrict_self fd hex
memfd_secret      hex -> fd
process_mrelease  fd hex
futex_waitv       addr uint hex addr clock
set_mempolicy_home_node addr uint int hex
cachestat         fd addr addr hex
fchmodat2         dirfd path mode at_flags
map_shadow_stack  addr uint hex -> hex
futex_wake        addr hex int hex
futex_wait        addr hex hex hex addr clock
futex_requeue     addr hex int int
statmount         addr addr uint hex
listmount         addr addr uint hex
lsm_get_self_attr uint addr addr hex
lsm_set_self_attr uint addr uint hex
lsm_list_modules  addr addr hex
mseal             addr uint hex
setxattrat        dirfd path at_flags str addr uint
getxattrat        dirfd path at_flags str addr uint
listxattrat       dirfd path at_flags addr uint
removexattrat     dirfd path at_flags str
open_tree_attr    dirfd path hex addr uint -> fd
file_getattr      dirfd path addr uint at_flags
file_setattr      dirfd path addr uint at_flags
listns            addr addr uint hex
uretprobe
uprobe
sched_yield
iopl              int
ioperm            uint uint int
modify_ldt        int addr uint
mq_getsetattr     fd addr addr
mq_notify         fd addr
migrate_pages     int uint addr addr
set_mempolicy     hex addr uint
io_getevents      hex long long addr >timespec
io_submit         hex long addr
io_cancel         hex addr addr
init_module       addr uint str
delete_module     str hex
quotactl          hex str uint addr
kexec_load        hex uint addr hex
keyctl            int hex hex hex hex
msgctl            int int addr
semctl            int int int hex
adjtimex          addr
lookup_dcookie    uint addr uint
ustat             uint addr
sysfs             int hex hex
"""
