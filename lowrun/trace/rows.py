"""The declarative rows of the system call table: one call, one line (the grammar is in grammar.py).

What depends on a command (fcntl, prctl, ...) has more rows in
rows_variants.py and rows_ioctl.py. Calls without a row are known by
python-ptrace's prototypes alone.
"""

from __future__ import annotations

__all__ = ["ROWS"]

ROWS = """
read              fd <data[r] uint
write             fd >data[2] uint
open              path open_flags mode? -> fd
close             fd
stat              path <stat
fstat             fd <stat
lstat             path <stat
poll              +pollfd[1] uint32v int
lseek             fd long whence
mmap              addr uint prot map_flags fd hexlong -> hex
mprotect          addr uint prot
munmap            addr uint
brk               addr -> hex
rt_sigaction      signal >sigaction <sigaction uint
rt_sigprocmask    sigmask_how >sigset <sigset uint
rt_sigreturn      >sigframe
ioctl             fd ioctl_cmd ioctl_value?
pread64           fd <data[r] uint long
pwrite64          fd >data[2] uint long
readv             fd +iovec[2] uint
writev            fd >iovec[2] uint
access            path access_mode
pipe              <fdpair
select            int +fdset[0] +fdset[0] +fdset[0] +timeval
mremap            addr uint uint mremap_flags addr_if_fixed? -> hex
msync             addr uint msync_flags
mincore           addr uint <mincore
madvise           addr uint madvise
shmget            ipc_key uint shmget_mode -> int
shmat             int addr shm_flags -> hex
shmctl            int shmctl_cmd addr
dup               fd -> fd
dup2              fd fd -> fd
pause
nanosleep         >timespec <remaining
getitimer         itimer <itimerval
alarm             uint32v
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
getsockopt        fd sockopt_level sockopt_asked <optval[*4] +socklen
clone             clone_stack clone_flags <clone_ptid? clone_tls? clone_ctid?
fork
vfork
execve            path argv envp
exit              int -> none
wait4             int <wstatus wait_options <rusage
kill              int signal
uname             <utsname
semget            ipc_key int semget_flags
semop             int >sembuf[2] uint32v
shmdt             addr
msgget            ipc_key semget_flags
msgsnd            int >msgbuf uint ipc_msg_flags
msgrcv            int <msgbuf uint long ipc_msg_flags
fcntl             fd fcntl_cmd hexlong
flock             fd flock
fsync             fd
fdatasync         fd
truncate          path uint
ftruncate         fd uint
getdents          fd <dirents[r] uint32v
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
ptrace            ptrace_request int addr addr
getuid
syslog            syslog_action addr int
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
capget            >cap_header <cap_data
capset            >cap_header >cap_data
rt_sigpending     <sigset uint
rt_sigtimedwait   >sigset <siginfo >timespec uint
rt_sigqueueinfo   int signal >siginfo
rt_sigsuspend     >sigset uint
sigaltstack       >stack <stack
utime             path >utimbuf
mknod             path mknod_mode dev?
uselib            path
personality       personality -> personality
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
prctl             prctl_option hexlong hexlong hexlong hexlong
arch_prctl        arch_prctl hexlong
setrlimit         rlimit_name >rlimit
chroot            path
sync
acct              path
settimeofday      >timeval >timezone
mount             path path >mount_type mount_word >mount_data
umount2           path umount_flags
swapon            path swap_word
swapoff           path
reboot            reboot_magic reboot_magic2 reboot_cmd
sethostname       >data[1] uint32v
setdomainname     >data[1] uint32v
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
time              <int64 -> time
futex             addr futex_op uint32v addr addr hex
sched_setaffinity int uint32v >cpuset[1]
sched_getaffinity int uint32v <cpuset[r]
io_setup          uint32v <hex64
io_destroy        addr
epoll_create      int -> fd
remap_file_pages  addr uint prot uint map_flags
getdents64        fd <dirents[r] uint32v
set_tid_address   hexlong -> pid
restart_syscall   resuming
semtimedop        int >sembuf[2] uint32v >timespec
fadvise64         fd long uint fadvise
timer_create      clock >sigevent <int32
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
mbind             addr uint mempolicy_mode >nodemask uint mbind_flags
get_mempolicy     <mempolicy32 <nodemask uint addr get_mempolicy_flags
mq_open           str open_flags mode? >mq_attr_new? -> fd
mq_unlink         str
mq_timedsend      fd >data[2] uint uint32v >timespec
mq_timedreceive   fd <data[r] uint <uint32 >timespec
waitid            waitid_type int <siginfo wait_options <rusage
add_key           str str >data[3] uint key_spec
request_key       str str str key_spec
ioprio_set        ioprio_who int ioprio
ioprio_get        ioprio_who int -> ioprio
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
ppoll             +pollfd[1] uint32v +timespec >sigset uint
unshare           unshare_flags
set_robust_list   addr uint
get_robust_list   int <uint64 <uint64
splice            fd +int64 fd +int64 uint splice_flags
tee               fd fd uint splice_flags
sync_file_range   fd long long sync_range
vmsplice          fd >iovec[2] uint splice_flags
move_pages        int uint >page[1] >int_array[1] <page_status[1] move_pages_flags
utimensat         dirfd path >timespec2 at_flags
epoll_pwait       fd <epoll_event[r] int int >sigset uint
signalfd          fd >sigset uint -> fd
timerfd_create    clock timerfd_flags -> fd
eventfd           uint32v -> fd
fallocate         fd falloc_mode long long
timerfd_settime   fd timerfd_settime_flags >itimerspec <itimerspec
timerfd_gettime   fd <itimerspec
accept4           fd <sockaddr[*2] +socklen sock_flags -> fd
signalfd4         fd >sigset uint sock_flags_fd -> fd
eventfd2          uint32v efd_flags -> fd
epoll_create1     epoll_flags -> fd
dup3              fd fd open_flags_only -> fd
pipe2             <fdpair open_flags_only
inotify_init1     inotify_init_flags -> fd
preadv            fd +iovec[2] uint long
pwritev           fd >iovec[2] uint long
rt_tgsigqueueinfo int int signal >siginfo
perf_event_open   >perf_attr int int fd perf_open_flags -> fd
recvmmsg          fd +mmsghdr[r] uint32v msg_flags +timeout
fanotify_init     fan_init_flags fan_event_f_flags -> fd
fanotify_mark     fd fan_mark fan_event dirfd path
prlimit64         int rlimit_name >rlimit <rlimit
name_to_handle_at dirfd path +file_handle <int32 handle_flags
open_by_handle_at fd >file_handle open_flags
clock_adjtime     clock +timex -> timex_state
syncfs            fd
sendmmsg          fd +mmsghdr[r] uint32v msg_flags
setns             fd setns_types
getcpu            <uint32 <uint32 addr
process_vm_readv  int +iovec[2] uint >iovec_raw[4] uint uint
process_vm_writev int >iovec[2] uint >iovec_raw[4] uint uint
kcmp              int int kcmp_type hexlong hexlong
finit_module      fd str module_init
sched_setattr     int >sched_attr_any uint32v
sched_getattr     int <sched_attr[2] uint32v uint32v
renameat2         dirfd path dirfd path rename_flags
seccomp           seccomp_op hex addr
getrandom         <bytes[r] uint grnd_flags
memfd_create      str memfd_flags -> fd
kexec_file_load   fd fd uint str kexec_file_flags
bpf               bpf_cmd addr uint32v
execveat          dirfd path argv envp at_flags
userfaultfd       uffd_flags -> fd
membarrier        membarrier_cmd membarrier_flags cpu_if_flagged?
mlock2            addr uint mlock2_flags
copy_file_range   fd +int64 fd +int64 uint uint32v
preadv2           fd +iovec[2] uint long unused? rwf_flags
pwritev2          fd >iovec[2] uint long unused? rwf_flags
pkey_mprotect     addr uint prot int
pkey_alloc        hexlong pkey_access
pkey_free         int
statx             dirfd path statx_flags statx_mask <statx
io_pgetevents     addr long long <io_event[r] >timespec >aio_sigset
rseq              hexlong hexlong hexlong hexlong
pidfd_send_signal fd signal >siginfo pidfd_signal
io_uring_setup    uint32v +io_uring_params -> fd
io_uring_enter    fd uint32v uint32v uring_enter >sigset uint
io_uring_register fd uring_register addr uint32v
open_tree         dirfd path open_tree_flags -> fd
move_mount        dirfd path dirfd path move_mount_flags
fsopen            str fsopen_flags -> fd
fsconfig          fd fsconfig_cmd addr addr int
fsmount           fd fsmount_flags mount_attr_flags -> fd
fspick            dirfd path fspick_flags -> fd
pidfd_open        int pidfd_flags -> fd
clone3            +clone_args[1] clone3_tail
close_range       uint32v uint32v close_range_flags
openat2           dirfd path >open_how[3] uint -> fd
pidfd_getfd       fd int hex -> fd
faccessat2        dirfd path access_mode faccessat_flags
process_madvise   fd >iovec_raw[2] uint madvise hex
epoll_pwait2      fd <epoll_event[r] int >timespec >sigset uint
mount_setattr     dirfd path mount_setattr_flags >mount_attr[4] uint
quotactl_fd       fd quota_cmd uid addr
landlock_create_ruleset >landlock_ruleset[1] uint landlock_create -> ruleset
landlock_add_rule fd landlock_rule addr hex
landlock_restrict_self fd landlock_restrict
memfd_secret      secretmem_flags -> fd
process_mrelease  fd hex
futex_waitv       >futex_waitv[1] uint32v hex >timespec clock
set_mempolicy_home_node addr uint uint hexlong
cachestat         fd >cachestat_range <cachestat hex
fchmodat2         dirfd path mode at_flags
map_shadow_stack  addr uint shadow_stack_flags -> hex
futex_wake        addr hexlong int futex2_flags
futex_wait        addr hexlong hexlong futex2_flags >timespec clock
futex_requeue     >futex_pair hex int int
statmount         >statmount_req addr uint hex
listmount         >mnt_id_req <hex64[r] uint listmount_flags
lsm_get_self_attr lsm_attr addr +uint32 lsm_flags
lsm_set_self_attr lsm_attr addr uint hex
lsm_list_modules  <lsm_ids[r] +uint32 hex
mseal             addr uint hex
setxattrat        dirfd path at_flags str >xattr_args[5] uint
getxattrat        dirfd path at_flags str >xattr_args[5] uint
listxattrat       dirfd path at_flags <data[r] uint
removexattrat     dirfd path at_flags str
open_tree_attr    dirfd path open_tree_flags >mount_attr[4] uint -> fd
file_getattr      dirfd path <file_attr[3] uint at_flags
file_setattr      dirfd path >file_attr[3] uint at_flags
listns            addr <hex64[r] uint hex
uretprobe
uprobe
sched_yield
iopl              int
ioperm            hexlong hexlong int
modify_ldt        int >user_desc uint
mq_getsetattr     fd >mq_attr <mq_attr
mq_notify         fd >sigevent
migrate_pages     int uint >nodemask >nodemask
set_mempolicy     mempolicy_mode >nodemask uint
io_getevents      addr long long <io_event[r] >timespec
io_submit         addr long >iocb[1]
io_cancel         addr >iocb_one <io_event
init_module       addr uint str
delete_module     str delete_module
quotactl          quota_cmd path uid addr
kexec_load        addr uint addr kexec_word
keyctl            keyctl_cmd hexlong hexlong hexlong hexlong
msgctl            int msgctl_cmd addr
semctl            int int semctl_cmd hexlong
adjtimex          +timex -> timex_state
lookup_dcookie    uint addr uint
ustat             dev_number addr
sysfs             hexlong hexlong hexlong
_sysctl           >sysctl_args
create_module     hexlong hexlong
get_kernel_syms   hexlong
query_module      hexlong hexlong hexlong hexlong hexlong
nfsservctl        hexlong hexlong hexlong
getpmsg           hexlong hexlong hexlong hexlong hexlong
putpmsg           hexlong hexlong hexlong hexlong hexlong
afs_syscall       hexlong hexlong hexlong hexlong hexlong
tuxcall           hexlong hexlong hexlong
security          hexlong hexlong hexlong
set_thread_area   addr
get_thread_area   addr
epoll_ctl_old     hexlong hexlong hexlong hexlong
epoll_wait_old    hexlong hexlong hexlong hexlong
vserver           hexlong hexlong hexlong hexlong hexlong
"""
