"""Rows of calls whose arguments depend on a command: fcntl, prctl, futex, keyctl, bpf, the System V ones, ...

The grammar is grammar.py's; a call's own row (for commands that are not here)
stands in rows.py.
"""

from __future__ import annotations

__all__ = ["VARIANT_ROWS"]

VARIANT_ROWS = """
fcntl:F_DUPFD,F_DUPFD_CLOEXEC             fd fcntl_cmd int -> fd
fcntl:F_GETFD                             fd fcntl_cmd -> fcntl_fd
fcntl:F_SETFD                             fd fcntl_cmd fdflags
fcntl:F_GETFL                             fd fcntl_cmd -> fcntl_fl
fcntl:F_SETFL                             fd fcntl_cmd open_flags
fcntl:F_GETLK,F_OFD_GETLK                 fd fcntl_cmd <flock_got?
fcntl:F_SETLK,F_SETLKW,F_OFD_SETLK,F_OFD_SETLKW fd fcntl_cmd >flock
fcntl:F_SETOWN,F_SETPIPE_SZ               fd fcntl_cmd int
fcntl:F_GETOWN,F_GETPIPE_SZ               fd fcntl_cmd
fcntl:F_SETSIG                            fd fcntl_cmd signal
fcntl:F_GETSIG                            fd fcntl_cmd -> signal
fcntl:F_SETOWN_EX                         fd fcntl_cmd >owner_ex
fcntl:F_GETOWN_EX                         fd fcntl_cmd <owner_ex?
fcntl:F_SETLEASE                          fd fcntl_cmd lock_types
fcntl:F_GETLEASE                          fd fcntl_cmd -> lease
fcntl:F_NOTIFY                            fd fcntl_cmd notify_flags
fcntl:F_ADD_SEALS                         fd fcntl_cmd f_seals
fcntl:F_GET_SEALS                         fd fcntl_cmd -> seals
fcntl:F_DUPFD_QUERY                       fd fcntl_cmd fd

futex:0                                   addr futex_op uint32v >timespec
futex:1,2                                 addr futex_op uint32v
futex:3                                   addr futex_op uint32v uint32v addr
futex:4,12                                addr futex_op uint32v uint32v addr uint32v
futex:5                                   addr futex_op uint32v uint32v addr futex_wake_op
futex:6,13                                addr futex_op unused >timespec
futex:7,8                                 addr futex_op
futex:9                                   addr futex_op uint32v >timespec unused futex_bitset
futex:10                                  addr futex_op uint32v unused unused futex_bitset
futex:11                                  addr futex_op uint32v >timespec addr

prctl:PR_GET_FP_MODE,PR_SVE_GET_VL,PR_SME_GET_VL,PR_GET_KEEPCAPS,PR_GET_SECCOMP,PR_GET_TIMERSLACK,PR_GET_TIMING,PR_TASK_PERF_EVENTS_DISABLE,
    PR_TASK_PERF_EVENTS_ENABLE prctl_option
prctl:PR_GET_CHILD_SUBREAPER,PR_GET_ENDIAN,PR_GET_FPEMU,PR_GET_FPEXC prctl_option <uint32
prctl:PR_GET_DUMPABLE                     prctl_option -> dumpable
prctl:PR_GET_NAME                         prctl_option <comm
prctl:PR_SET_NAME                         prctl_option >comm15
prctl:PR_GET_PDEATHSIG                    prctl_option <signal32
prctl:PR_SET_PDEATHSIG                    prctl_option signal
prctl:PR_GET_SECUREBITS                   prctl_option -> securebits
prctl:PR_SET_SECUREBITS                   prctl_option secbits
prctl:PR_GET_TID_ADDRESS                  prctl_option <pointer
prctl:PR_GET_TSC                          prctl_option <tsc32
prctl:PR_SET_TSC                          prctl_option pr_tsc
prctl:PR_GET_UNALIGN                      prctl_option <unalign32
prctl:PR_SET_UNALIGN                      prctl_option pr_unalign
prctl:PR_SET_CHILD_SUBREAPER,PR_SET_ENDIAN,PR_SET_FPEMU,PR_SET_FPEXC,PR_SET_KEEPCAPS,PR_SET_TIMING prctl_option uint
prctl:PR_SET_DUMPABLE                     prctl_option pr_dumpable
prctl:PR_CAPBSET_READ,PR_CAPBSET_DROP     prctl_option cap
prctl:PR_CAP_AMBIENT                      prctl_option pr_ambient cap_if_ambient hexlong hexlong
prctl:PR_MCE_KILL                         prctl_option pr_mce mce_policy hexlong hexlong
prctl:PR_MCE_KILL_GET                     prctl_option hexlong hexlong hexlong hexlong -> mce
prctl:PR_SET_VMA                          prctl_option pr_vma addr uint str
prctl:PR_SET_MM                           prctl_option pr_mm hexlong hexlong hexlong
prctl:PR_SET_PTRACER                      prctl_option ptracer
prctl:PR_SET_SECCOMP                      prctl_option seccomp_mode >sock_fprog?
prctl:PR_SET_TIMERSLACK                   prctl_option long
prctl:PR_SET_NO_NEW_PRIVS,PR_SET_THP_DISABLE,PR_SET_IO_FLUSHER prctl_option uint hexlong hexlong hexlong
prctl:PR_GET_SPECULATION_CTRL             prctl_option pr_spec -> speculation
prctl:PR_SET_SPECULATION_CTRL             prctl_option pr_spec pr_spec_set
prctl:PR_SET_SYSCALL_USER_DISPATCH        prctl_option pr_dispatch hexlong hexlong addr
prctl:PR_SCHED_CORE                       prctl_option pr_core int core_type addr
prctl:PR_SET_MDWE                         prctl_option pr_mdwe hexlong hexlong hexlong
prctl:PR_GET_AUXV                         prctl_option addr uint hexlong hexlong

arch_prctl:ARCH_GET_GS,ARCH_GET_FS        arch_prctl <pointer
arch_prctl:ARCH_GET_CPUID                 arch_prctl
arch_prctl:ARCH_SET_CPUID                 arch_prctl hexlong
arch_prctl:ARCH_REQ_XCOMP_PERM,ARCH_REQ_XCOMP_GUEST_PERM arch_prctl xfeature_number
arch_prctl:ARCH_GET_XCOMP_SUPP,ARCH_GET_XCOMP_PERM,ARCH_GET_XCOMP_GUEST_PERM arch_prctl <xfeatures

seccomp:SECCOMP_SET_MODE_STRICT           seccomp_op hex addr
seccomp:SECCOMP_SET_MODE_FILTER           seccomp_op seccomp_filter_flags >sock_fprog
seccomp:SECCOMP_GET_ACTION_AVAIL          seccomp_op hex >seccomp_action32
seccomp:SECCOMP_GET_NOTIF_SIZES           seccomp_op hex <notif_sizes

keyctl:KEYCTL_GET_KEYRING_ID              keyctl_cmd key_spec int
keyctl:KEYCTL_JOIN_SESSION_KEYRING        keyctl_cmd str
keyctl:KEYCTL_UPDATE                      keyctl_cmd key_spec >data[3] uint
keyctl:KEYCTL_REVOKE,KEYCTL_CLEAR,KEYCTL_INVALIDATE,KEYCTL_ASSUME_AUTHORITY keyctl_cmd key_spec
keyctl:KEYCTL_CHOWN                       keyctl_cmd key_spec uid uid
keyctl:KEYCTL_SETPERM                     keyctl_cmd key_spec key_perms
keyctl:KEYCTL_DESCRIBE,KEYCTL_GET_SECURITY keyctl_cmd key_spec <text[r] uint
keyctl:KEYCTL_READ                        keyctl_cmd key_spec <data[r] uint
keyctl:KEYCTL_LINK,KEYCTL_UNLINK          keyctl_cmd key_spec key_spec
keyctl:KEYCTL_SEARCH                      keyctl_cmd key_spec str str key_spec
keyctl:KEYCTL_INSTANTIATE                 keyctl_cmd key_spec >data[3] uint key_spec
keyctl:KEYCTL_INSTANTIATE_IOV             keyctl_cmd key_spec >iovec[3] uint key_spec
keyctl:KEYCTL_NEGATE                      keyctl_cmd key_spec uint key_spec
keyctl:KEYCTL_REJECT                      keyctl_cmd key_spec uint errno key_spec
keyctl:KEYCTL_SET_REQKEY_KEYRING          keyctl_cmd key_reqkeys
keyctl:KEYCTL_SET_TIMEOUT                 keyctl_cmd key_spec uint
keyctl:KEYCTL_SESSION_TO_PARENT           keyctl_cmd
keyctl:KEYCTL_GET_PERSISTENT              keyctl_cmd uid key_spec
keyctl:KEYCTL_DH_COMPUTE                  keyctl_cmd >keyctl_dh <data[r] uint addr
keyctl:KEYCTL_PKEY_QUERY                  keyctl_cmd key_spec uint str <pkey_query
keyctl:KEYCTL_RESTRICT_KEYRING            keyctl_cmd key_spec str str
keyctl:KEYCTL_MOVE                        keyctl_cmd key_spec key_spec key_spec keyctl_move
keyctl:KEYCTL_CAPABILITIES                keyctl_cmd <key_caps[r] uint
keyctl:KEYCTL_WATCH_KEY                   keyctl_cmd key_spec fd int

ptrace:PTRACE_TRACEME                     ptrace_request
ptrace:PTRACE_PEEKTEXT,PTRACE_PEEKDATA    ptrace_request int addr <kernel_ulong
ptrace:PTRACE_PEEKUSER                    ptrace_request int user_offset <kernel_ulong
ptrace:PTRACE_POKETEXT,PTRACE_POKEDATA    ptrace_request int addr hexlong
ptrace:PTRACE_POKEUSER                    ptrace_request int user_offset hexlong
ptrace:PTRACE_CONT,PTRACE_SINGLESTEP,PTRACE_SYSCALL,PTRACE_SYSEMU,PTRACE_SYSEMU_SINGLESTEP,PTRACE_SINGLEBLOCK,
    PTRACE_DETACH,PTRACE_LISTEN ptrace_request int ignored signal
ptrace:PTRACE_KILL,PTRACE_ATTACH          ptrace_request int
ptrace:PTRACE_INTERRUPT                   ptrace_request int ignored ignored
ptrace:PTRACE_SETOPTIONS,PTRACE_SEIZE,PTRACE_OLDSETOPTIONS ptrace_request int ignored ptrace_options
ptrace:PTRACE_GETEVENTMSG                 ptrace_request int ignored <kernel_ulong_u
ptrace:PTRACE_GETSIGINFO                  ptrace_request int ignored <siginfo
ptrace:PTRACE_SETSIGINFO                  ptrace_request int ignored >siginfo
ptrace:PTRACE_GETSIGMASK                  ptrace_request int uint <sigset
ptrace:PTRACE_SETSIGMASK                  ptrace_request int uint >sigset
ptrace:PTRACE_GETREGS,PTRACE_SETREGS,PTRACE_GETFPREGS,PTRACE_SETFPREGS ptrace_request int unused addr
ptrace:PTRACE_GET_SYSCALL_INFO             ptrace_request int uint addr
ptrace:PTRACE_GETREGSET                   ptrace_request int regset >one_iovec
ptrace:PTRACE_SETREGSET                   ptrace_request int regset >one_iovec

shmctl:IPC_RMID,SHM_LOCK,SHM_UNLOCK       int shmctl_cmd addr
shmctl:IPC_STAT,SHM_STAT,SHM_STAT_ANY     int shmctl_cmd <shmid_ds
shmctl:IPC_SET                            int shmctl_cmd >shmid_ds_set
shmctl:IPC_INFO                           int shmctl_cmd <shminfo64
shmctl:SHM_INFO                           int shmctl_cmd <shm_info
semctl:IPC_STAT,SEM_STAT,SEM_STAT_ANY     int int semctl_cmd <semid_ds
semctl:IPC_SET                            int int semctl_cmd >semid_ds_set
semctl:IPC_INFO,SEM_INFO                  int int semctl_cmd <seminfo
semctl:IPC_RMID,GETPID,GETVAL,GETNCNT,GETZCNT,GETALL,SETALL int int semctl_cmd addr
semctl:SETVAL                             int int semctl_cmd hexlong
msgctl:IPC_STAT,MSG_STAT,MSG_STAT_ANY     int msgctl_cmd <msqid_ds
msgctl:IPC_SET                            int msgctl_cmd >msqid_ds_set
msgctl:IPC_INFO,MSG_INFO                  int msgctl_cmd <msginfo

fsconfig:FSCONFIG_SET_FLAG                fd fsconfig_cmd str addr int
fsconfig:FSCONFIG_SET_STRING              fd fsconfig_cmd str str int
fsconfig:FSCONFIG_SET_BINARY              fd fsconfig_cmd str >data[4] int
fsconfig:FSCONFIG_SET_PATH,FSCONFIG_SET_PATH_EMPTY fd fsconfig_cmd str path dirfd
fsconfig:FSCONFIG_SET_FD                  fd fsconfig_cmd str addr fd
fsconfig:FSCONFIG_CMD_CREATE,FSCONFIG_CMD_RECONFIGURE,FSCONFIG_CMD_CREATE_EXCL fd fsconfig_cmd addr addr int

bpf:BPF_MAP_CREATE                        bpf_cmd >bpf_map_create[2] uint32v -> fd
bpf:BPF_MAP_LOOKUP_ELEM,BPF_MAP_LOOKUP_AND_DELETE_ELEM bpf_cmd >bpf_lookup[2] uint32v
bpf:BPF_MAP_UPDATE_ELEM                   bpf_cmd >bpf_elem[2] uint32v
bpf:BPF_MAP_DELETE_ELEM                   bpf_cmd >bpf_delete[2] uint32v
bpf:BPF_MAP_GET_NEXT_KEY                  bpf_cmd >bpf_next_key[2] uint32v
bpf:BPF_MAP_FREEZE                        bpf_cmd >bpf_map_fd[2] uint32v
bpf:BPF_PROG_LOAD                         bpf_cmd >bpf_prog_load uint32v -> fd
bpf:BPF_OBJ_PIN                           bpf_cmd >bpf_obj uint32v
bpf:BPF_OBJ_GET                           bpf_cmd >bpf_obj uint32v -> fd
bpf:BPF_PROG_ATTACH                       bpf_cmd >bpf_attach[2] uint32v
bpf:BPF_PROG_DETACH                       bpf_cmd >bpf_detach[2] uint32v
bpf:BPF_PROG_GET_NEXT_ID,BPF_MAP_GET_NEXT_ID,BPF_BTF_GET_NEXT_ID,BPF_LINK_GET_NEXT_ID bpf_cmd >bpf_next_id[2] uint32v
bpf:BPF_PROG_GET_FD_BY_ID                 bpf_cmd >bpf_prog_id[2] uint32v -> fd
bpf:BPF_MAP_GET_FD_BY_ID                  bpf_cmd >bpf_map_id[2] uint32v -> fd
bpf:BPF_BTF_GET_FD_BY_ID                  bpf_cmd >bpf_btf_id[2] uint32v -> fd
bpf:BPF_LINK_GET_FD_BY_ID                 bpf_cmd >bpf_link_id[2] uint32v -> fd
bpf:BPF_OBJ_GET_INFO_BY_FD                bpf_cmd >bpf_obj_info[2] uint32v
bpf:BPF_LINK_CREATE                       bpf_cmd >bpf_link[2] uint32v -> fd
bpf:BPF_BTF_LOAD                          bpf_cmd >bpf_btf_load[2] uint32v -> fd

landlock_add_rule:LANDLOCK_RULE_PATH_BENEATH fd landlock_rule >landlock_path hex
landlock_add_rule:LANDLOCK_RULE_NET_PORT  fd landlock_rule >landlock_port hex
quotactl:2147485440,2147485441,2147485442 quota_cmd path uid <dqblk
quotactl:2147485696,2147485697,2147485698 quota_cmd path uid >dqblk
quotactl:2147485952,2147485953,2147485954 quota_cmd path uid <nextdqblk
quotactl:2147484160,2147484161,2147484162 quota_cmd path quota_format path
quotactl:2147483904,2147483905,2147483906,2147484416,2147484417,2147484418,5768960,5768961,5768962 quota_cmd path
kcmp:KCMP_FILE                            int int kcmp_type fd fd
kcmp:KCMP_EPOLL_TFD                       int int kcmp_type uint >kcmp_slot
kcmp:KCMP_VM,KCMP_FILES,KCMP_FS,KCMP_SIGHAND,KCMP_IO,KCMP_SYSVSEM int int kcmp_type
reboot:LINUX_REBOOT_CMD_RESTART2          reboot_magic reboot_magic2 reboot_cmd str
syslog:SYSLOG_ACTION_READ,SYSLOG_ACTION_READ_ALL,SYSLOG_ACTION_READ_CLEAR syslog_action <data[r] int
syslog:SYSLOG_ACTION_CLOSE,SYSLOG_ACTION_OPEN,SYSLOG_ACTION_CLEAR,SYSLOG_ACTION_CONSOLE_OFF,
    SYSLOG_ACTION_CONSOLE_ON,SYSLOG_ACTION_SIZE_UNREAD,SYSLOG_ACTION_SIZE_BUFFER syslog_action
setsockopt:SOL_SOCKET/SO_ATTACH_FILTER,SOL_SOCKET/SO_ATTACH_REUSEPORT_CBPF fd sockopt_level sockopt >sock_fprog int
syslog:SYSLOG_ACTION_CONSOLE_LEVEL        syslog_action addr syslog_level_number
membarrier:MEMBARRIER_CMD_QUERY           membarrier_cmd membarrier_flags cpu_if_flagged? -> membarrier
io_uring_register:IORING_REGISTER_BUFFERS fd uring_register >iovec_raw[3] uint32v
io_uring_register:IORING_REGISTER_FILES   fd uring_register >fd32[3] uint32v
io_uring_register:IORING_REGISTER_EVENTFD,IORING_REGISTER_EVENTFD_ASYNC fd uring_register >fd32[3] uint32v
"""
