/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel without a libc: system calls by hand, for each architecture in
 * this one place. A call returns >= 0 or -errno, as the kernel has it.
 */
#ifndef LR_KEEPER_SYSTEM_H
#define LR_KEEPER_SYSTEM_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)

static inline long system_call(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* The kernel enters with the stack pointer at argc; C wants it aligned. */
#define SYSTEM_START(function)                                  \
    __asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\t"      \
            "and $-16, %rsp\n\tcall " #function "\n\thlt\n")

/* clone on a stack of its own: the child runs function(argument), which must
 * not return. */
static inline long system_clone_on(long nr, long a, long b, long c, long d, long e,
                                   void (*function)(void *), void *argument)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register void *r12 __asm__("r12") = (void *) function;
    register void *r13 __asm__("r13") = argument;
    long result;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r13, %%rdi\n\t"
                     "call *%%r12\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r12), "r"(r13)
                     : "rcx", "r11", "memory");
    return result;
}

/* clone(2)'s arguments in this architecture's order. */
#define SYSTEM_CLONE(flags, stack, pidfd, function, argument) \
    system_clone_on(__NR_clone, (flags), (long) (stack), (long) (pidfd), 0, 0, (function), (argument))

#elif defined(__aarch64__)

static inline long system_call(long nr, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

#define SYSTEM_START(function) \
    __asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tbl " #function "\n\tbrk #0\n")

static inline long system_clone_on(long nr, long a, long b, long c, long d, long e,
                                   void (*function)(void *), void *argument)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register void *x19 __asm__("x19") = (void *) function;
    register void *x20 __asm__("x20") = argument;

    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, #0\n\t"
                     "mov x0, x20\n\t"
                     "blr x19\n\t"
                     "brk #0\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x19), "r"(x20)
                     : "memory", "x30");
    return x0;
}

#define SYSTEM_CLONE(flags, stack, pidfd, function, argument) \
    system_clone_on(__NR_clone, (flags), (long) (stack), (long) (pidfd), 0, 0, (function), (argument))

#else
#error "the keeper knows x86_64 and aarch64"
#endif

#define SYS0(name) system_call(__NR_##name, 0, 0, 0, 0, 0, 0)
#define SYS1(name, a) system_call(__NR_##name, (long) (a), 0, 0, 0, 0, 0)
#define SYS2(name, a, b) system_call(__NR_##name, (long) (a), (long) (b), 0, 0, 0, 0)
#define SYS3(name, a, b, c) system_call(__NR_##name, (long) (a), (long) (b), (long) (c), 0, 0, 0)
#define SYS4(name, a, b, c, d) system_call(__NR_##name, (long) (a), (long) (b), (long) (c), (long) (d), 0, 0)
#define SYS5(name, a, b, c, d, e) \
    system_call(__NR_##name, (long) (a), (long) (b), (long) (c), (long) (d), (long) (e), 0)
#define SYS6(name, a, b, c, d, e, f) \
    system_call(__NR_##name, (long) (a), (long) (b), (long) (c), (long) (d), (long) (e), (long) (f))

#endif
