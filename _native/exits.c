/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the processes of a tree used, counted in the kernel as each of their
 * threads exits, whoever waits for them or nobody does.
 *
 * Two small programs (bpf(2)) on the raw tracepoints sched_process_exit and
 * sched_process_fork go from the task up its parents; when they come to the
 * keeper, the task is of its tree, and they add up. The tree is gone when the
 * keeper's wait4 says ECHILD, and every task has passed its tracepoint by
 * then: both stand before the moment in which it can be waited for (do_exit).
 * A task's parents live when it exits; one that loses its parent is given to a
 * reaper above it that is still of the tree, at last the keeper.
 *
 * At its exit a task's own io counters are final, but for what its last
 * references to files do (cancelled writes of a file that goes with them), and
 * signal->maxrss of the last thread is what wait4 will tell of the process.
 *
 * (taskstats, made for this, gives io in whole KiB and in whole 1024 calls,
 * and a CPU time that lacks what has been used since the last tick: tsacct.c.
 * A task's CPU time is not up to date here, either. What its ticks found it doing, in user or in
 * kernel mode, is what the kernel itself splits exact sums by: cputime_adjust.)
 *
 * The sums are per processor: no two programs add to the same ones.
 */
#include "lowrun.h"

#include <linux/bpf.h>
#include <stdlib.h>

#define CODE_MAX 160
#define PARENTS_MAX 128                /* on the way from a task to the keeper */
#define CPUS_MAX 8192                  /* CONFIG_NR_CPUS of the largest distributions */
#define FIELDS 7

enum place { PARENT, PID, TGID, SIGNAL, PEAK, USER, SYSTEM, FIRST_FIELD };

static const struct lr_btf_member places[LR_EXITS_PLACES] = {
    [PARENT] = { "task_struct", "real_parent", 0 },
    [PID] = { "task_struct", "pid", 0 },
    [TGID] = { "task_struct", "tgid", 0 },
    [SIGNAL] = { "task_struct", "signal", 0 },
    [PEAK] = { "signal_struct", "maxrss", 0 },
    [USER] = { "task_struct", "utime", 0 },
    [SYSTEM] = { "task_struct", "stime", 0 },
    [FIRST_FIELD] = { "task_io_accounting", "rchar", 0 },
    { "task_io_accounting", "wchar", 0 },
    { "task_io_accounting", "syscr", 0 },
    { "task_io_accounting", "syscw", 0 },
    { "task_io_accounting", "read_bytes", 0 },
    { "task_io_accounting", "write_bytes", 0 },
    { "task_io_accounting", "cancelled_write_bytes", 0 },
};
static const struct lr_btf_member accounting = { "task_struct", "ioac", 0 };

/* What the programs add to; all of 8 bytes. */
struct sums {
    uint64_t fields[FIELDS];
    uint64_t peak_pages;
    uint64_t user, system;             /* of whole ticks */
    uint64_t processes;
    uint64_t too_deep;                 /* tasks whose way up was too long */
};

struct code {
    struct bpf_insn at[CODE_MAX];
    int count;
};

static int call(enum bpf_cmd command, union bpf_attr *attributes)
{
    int result = (int) syscall(SYS_bpf, command, attributes, sizeof *attributes);

    return result < 0 ? -errno : result;
}

/* Where the kernel has what the programs read; the same for all of them. */
int lr_exits_layout(const char *path, struct lr_exits_layout *ret_layout)
{
    struct lr_btf_member wanted[LR_EXITS_PLACES + 1];
    int result;

    memcpy(wanted, places, sizeof places);
    wanted[LR_EXITS_PLACES] = accounting;
    result = lr_btf_offsets(path, wanted, LR_EXITS_PLACES + 1);
    if (result < 0)
        return result;
    for (int i = 0; i < LR_EXITS_PLACES; i++)
        ret_layout->offsets[i] = wanted[i].offset + (i < FIRST_FIELD ? 0 : wanted[LR_EXITS_PLACES].offset);
    return 0;
}

/* ---- the programs ---- */

static void put(struct code *code, int opcode, int to, int from, int offset, int value)
{
    code->at[code->count++] = (struct bpf_insn) {
        .code = (uint8_t) opcode, .dst_reg = (uint8_t) (to & 15), .src_reg = (uint8_t) (from & 15),
        .off = (int16_t) offset, .imm = value,
    };
}

#define MOVE(to, from) put(code, BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define SET(to, value) put(code, BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value)
#define ADD(to, from) put(code, BPF_ALU64 | BPF_ADD | BPF_X, to, from, 0, 0)
#define ADD_VALUE(to, value) put(code, BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value)
#define LOAD(to, from, offset) put(code, BPF_LDX | BPF_MEM | BPF_DW, to, from, offset, 0)
#define LOAD_WORD(to, from, offset) put(code, BPF_LDX | BPF_MEM | BPF_W, to, from, offset, 0)
#define STORE(to, offset, from) put(code, BPF_STX | BPF_MEM | BPF_DW, to, from, offset, 0)
#define CALL(function) put(code, BPF_JMP | BPF_CALL, 0, 0, 0, function)
/* A jump returns its place; `land` lets it lead to what comes next. */
#define JUMP(condition, left, right) (put(code, BPF_JMP | (condition), left, right, 0, 0), code->count - 1)
#define JUMP_VALUE(condition, left, value) \
    (put(code, BPF_JMP | (condition) | BPF_K, left, 0, 0, (int) (value)), code->count - 1)

enum { R0, R1, R2, R3, ARGUMENTS = R1, TASK = 6, AT, STEPS, SUMS, FRAME };

/* Of the frame. */
#define POINTER (-8)
#define NUMBER (-16)
#define OTHER (-24)

static void land(struct code *code, int jump)
{
    code->at[jump].off = (int16_t) (code->count - jump - 1);
}

/* Copies `size` bytes of the kernel's, at `offset` from what register `base` points to, into the frame. */
static void copy(struct code *code, int to, int base, int offset, int size)
{
    MOVE(R3, base);
    ADD_VALUE(R3, offset);
    MOVE(R1, FRAME);
    ADD_VALUE(R1, to);
    SET(R2, size);
    CALL(BPF_FUNC_probe_read_kernel);
}

static void add_to(struct code *code, size_t sum, int from)
{
    LOAD(R2, SUMS, (int) sum);
    ADD(R2, from);
    STORE(SUMS, (int) sum, R2);
}

/* Goes up from TASK to the keeper, and leaves the program when it is not there;
 * then SUMS are this processor's. */
static void find_keeper(struct code *code, const struct lr_exits_layout *layout, int map, int keeper)
{
    int again, found, top, deeper, nothing;

    MOVE(AT, TASK);
    SET(STEPS, 0);
    again = code->count;
    copy(code, POINTER, AT, layout->offsets[PARENT], 8);
    LOAD(AT, FRAME, POINTER);
    copy(code, NUMBER, AT, layout->offsets[TGID], 4);
    LOAD_WORD(R1, FRAME, NUMBER);
    found = JUMP_VALUE(BPF_JEQ, R1, keeper);
    top = JUMP_VALUE(BPF_JGT, R1, 1);
    SET(R0, 0);
    put(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    land(code, top);
    ADD_VALUE(STEPS, 1);
    deeper = JUMP_VALUE(BPF_JLT, STEPS, PARENTS_MAX);
    code->at[deeper].off = (int16_t) (again - deeper - 1);
    land(code, found);
    put(code, BPF_ST | BPF_MEM | BPF_W, FRAME, 0, NUMBER, 0);
    put(code, BPF_LD | BPF_DW | BPF_IMM, R1, BPF_PSEUDO_MAP_FD, 0, map);
    put(code, 0, 0, 0, 0, 0);
    MOVE(R2, FRAME);
    ADD_VALUE(R2, NUMBER);
    CALL(BPF_FUNC_map_lookup_elem);
    nothing = JUMP_VALUE(BPF_JNE, R0, 0);
    put(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    land(code, nothing);
    MOVE(SUMS, R0);
    found = JUMP_VALUE(BPF_JLT, STEPS, PARENTS_MAX);
    SET(R1, 1);
    add_to(code, offsetof(struct sums, too_deep), R1);
    SET(R0, 0);
    put(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    land(code, found);
}

static void finish(struct code *code)
{
    SET(R0, 0);
    put(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* sched_process_exit(task, ...) */
static void on_exit_of(struct code *code, const struct lr_exits_layout *layout, int map, int keeper)
{
    int smaller;

    LOAD(TASK, ARGUMENTS, 0);
    find_keeper(code, layout, map, keeper);
    for (int i = 0; i < FIELDS; i++) {
        copy(code, NUMBER, TASK, layout->offsets[FIRST_FIELD + i], 8);
        LOAD(R1, FRAME, NUMBER);
        add_to(code, offsetof(struct sums, fields) + (size_t) i * 8, R1);
    }
    for (int i = 0; i < 2; i++) {
        copy(code, NUMBER, TASK, layout->offsets[USER + i], 8);
        LOAD(R1, FRAME, NUMBER);
        add_to(code, offsetof(struct sums, user) + (size_t) i * 8, R1);
    }
    copy(code, POINTER, TASK, layout->offsets[SIGNAL], 8);
    LOAD(AT, FRAME, POINTER);
    copy(code, NUMBER, AT, layout->offsets[PEAK], 8);
    LOAD(R1, FRAME, NUMBER);
    LOAD(R2, SUMS, offsetof(struct sums, peak_pages));
    smaller = JUMP(BPF_JGE | BPF_X, R2, R1);
    STORE(SUMS, offsetof(struct sums, peak_pages), R1);
    land(code, smaller);
    finish(code);
}

/* sched_process_fork(parent, child); a thread is no process */
static void on_fork_of(struct code *code, const struct lr_exits_layout *layout, int map, int keeper)
{
    int process;

    LOAD(TASK, ARGUMENTS, 8);
    copy(code, NUMBER, TASK, layout->offsets[PID], 4);
    copy(code, OTHER, TASK, layout->offsets[TGID], 4);
    LOAD_WORD(R1, FRAME, NUMBER);
    LOAD_WORD(R2, FRAME, OTHER);
    process = JUMP(BPF_JEQ | BPF_X, R1, R2);
    finish(code);
    land(code, process);
    find_keeper(code, layout, map, keeper);
    SET(R1, 1);
    add_to(code, offsetof(struct sums, processes), R1);
    finish(code);
}

/* Returns a descriptor that keeps the program at its tracepoint. */
static int attach(const struct code *code, const char *tracepoint)
{
    static const char license[] = "GPL";
    union bpf_attr attributes = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT };
    int program, result;

    attributes.insn_cnt = (uint32_t) code->count;
    attributes.insns = (uint64_t) (uintptr_t) code->at;
    attributes.license = (uint64_t) (uintptr_t) license;
    program = call(BPF_PROG_LOAD, &attributes);
    if (program < 0)
        return program;
    memset(&attributes, 0, sizeof attributes);
    attributes.raw_tracepoint.name = (uint64_t) (uintptr_t) tracepoint;
    attributes.raw_tracepoint.prog_fd = (uint32_t) program;
    result = call(BPF_RAW_TRACEPOINT_OPEN, &attributes);
    close(program);
    return result;
}

/* Counts what is below `keeper` from now on, as long as the descriptors are
 * open: the sums', then those of the two programs. */
int lr_exits_open(const struct lr_exits_layout *layout, int keeper, int ret_fds[3])
{
    union bpf_attr attributes = {
        .map_type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = sizeof(struct sums), .max_entries = 1,
    };
    struct code exits = { 0 }, forks = { 0 };
    int result = call(BPF_MAP_CREATE, &attributes);

    ret_fds[0] = result;
    ret_fds[1] = ret_fds[2] = -1;
    if (result < 0)
        return result;
    on_exit_of(&exits, layout, ret_fds[0], keeper);
    on_fork_of(&forks, layout, ret_fds[0], keeper);
    result = ret_fds[1] = attach(&exits, "sched_process_exit");
    if (result >= 0)
        result = ret_fds[2] = attach(&forks, "sched_process_fork");
    for (int i = 0; i < 3 && result < 0; i++)
        if (ret_fds[i] >= 0)
            close(ret_fds[i]);
    return result < 0 ? result : 0;
}

/* Counts from 0 again; nothing may be below the keeper. */
int lr_exits_reset(int map)
{
    static const uint32_t key;
    struct sums *zeros = calloc(CPUS_MAX, sizeof *zeros);
    union bpf_attr attributes = { .map_fd = (uint32_t) map };
    int result;

    if (zeros == NULL)
        return -ENOMEM;
    attributes.key = (uint64_t) (uintptr_t) &key;
    attributes.value = (uint64_t) (uintptr_t) zeros;
    result = call(BPF_MAP_UPDATE_ELEM, &attributes);
    free(zeros);
    return result;
}

/* Adds up what the processors have. The kernel writes one set for each that is possible. */
int lr_exits_read(int map, struct lr_exits *ret_exits)
{
    static const uint32_t key;
    struct sums *all = calloc(CPUS_MAX, sizeof *all), sum = { 0 };
    union bpf_attr attributes = { .map_fd = (uint32_t) map };
    int result;

    if (all == NULL)
        return -ENOMEM;
    attributes.key = (uint64_t) (uintptr_t) &key;
    attributes.value = (uint64_t) (uintptr_t) all;
    result = call(BPF_MAP_LOOKUP_ELEM, &attributes);
    for (int i = 0; i < CPUS_MAX && result >= 0; i++) {
        for (int field = 0; field < FIELDS; field++)
            sum.fields[field] += all[i].fields[field];
        if (all[i].peak_pages > sum.peak_pages)
            sum.peak_pages = all[i].peak_pages;
        sum.user += all[i].user;
        sum.system += all[i].system;
        sum.processes += all[i].processes;
        sum.too_deep += all[i].too_deep;
    }
    free(all);
    memcpy(&ret_exits->io, sum.fields, sizeof ret_exits->io);
    ret_exits->max_rss_kib = sum.peak_pages * ((uint64_t) sysconf(_SC_PAGESIZE) / 1024);
    ret_exits->user_ticks_ns = sum.user;
    ret_exits->sys_ticks_ns = sum.system;
    ret_exits->processes = sum.processes;
    ret_exits->too_deep = sum.too_deep;
    return result;
}
