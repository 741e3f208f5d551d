/* System calls that took longer than a limit, with their arguments. */

struct entered_t {
    u64 at_ns; /* 0 if the task is in no system call whose start was seen */
    s64 number;
};

struct slow_t {
    u64 at_ns;
    u64 duration_ns;
    s64 result;
    u64 arg0;
    u64 arg1;
    u64 arg2;
    u64 arg3;
    u64 arg4;
    u64 arg5;
    KS_TASK;
    s32 syscall;
    s32 error;
    s32 user_stack;
};

BPF_TASK_STORAGE(entered, struct entered_t);
BPF_STACK_TRACE(stacks, 16384);
BPF_RINGBUF_OUTPUT(calls, 8);

/* The parameter `syscall` as a number: its choices in order, the first of which is all. */
static inline s64 wanted(void)
{
    switch (KS_PARAM(syscall)) {
#ifdef __NR_poll /* machines other than x86_64 have other numbers and fewer calls */
    case 1:
        return __NR_read;
    case 2:
        return __NR_write;
    case 3:
        return __NR_openat;
    case 4:
        return __NR_close;
    case 5:
        return __NR_fsync;
    case 6:
        return __NR_fdatasync;
    case 7:
        return __NR_futex;
    case 8:
        return __NR_poll;
    case 9:
        return __NR_epoll_wait;
    case 10:
        return __NR_connect;
    case 11:
        return __NR_recvfrom;
    case 12:
        return __NR_sendto;
    case 13:
        return __NR_ioctl;
    case 14:
        return __NR_mmap;
    case 15:
        return __NR_munmap;
    case 16:
        return __NR_clock_nanosleep;
    case 17:
        return __NR_execve;
    case 18:
        return __NR_unlink;
    case 19:
        return __NR_rename;
    case 20:
        return __NR_getdents64;
#endif
    default:
        return -1;
    }
}

/* sys_enter(regs, number) */
int on_enter(u64 *ctx)
{
    struct task_struct *task = KS_TASK_NOW();
    s64 number = ks_syscall(task, ctx[1]);
    struct entered_t *entry;

    if (KS_PARAM(syscall) && number != wanted())
        return 0;
    entry = KS_OWN(entered, task);
    if (!entry)
        return 0;
    entry->number = number;
    entry->at_ns = bpf_ktime_get_ns();
    return 0;
}

/* The registers still hold the arguments when the call returns. */
static inline void read_args(struct slow_t *slow, struct pt_regs *regs)
{
    struct pt_regs kept = {};

    bpf_probe_read_kernel(&kept, sizeof(kept), regs);
#ifdef bpf_target_x86
    if (slow->syscall & KS_OF_32BIT) {
        slow->arg0 = (u32)kept.bx;
        slow->arg1 = (u32)kept.cx;
        slow->arg2 = (u32)kept.dx;
        slow->arg3 = (u32)kept.si;
        slow->arg4 = (u32)kept.di;
        slow->arg5 = (u32)kept.bp;
        return;
    }
#endif
    slow->arg0 = PT_REGS_PARM1(&kept);
    slow->arg1 = PT_REGS_PARM2(&kept);
    slow->arg2 = PT_REGS_PARM3(&kept);
#ifdef bpf_target_x86
    slow->arg3 = kept.r10; /* a function's fourth is in rcx, which the call itself overwrites */
#else
    slow->arg3 = PT_REGS_PARM4(&kept);
#endif
    slow->arg4 = PT_REGS_PARM5(&kept);
    slow->arg5 = PT_REGS_PARM6(&kept);
}

/* sys_exit(regs, result) */
int on_exit(u64 *ctx)
{
    struct entered_t *entry = KS_OWN_IF_ANY(entered, KS_TASK_NOW());
    struct slow_t *slow;
    u64 begun, duration;

    if (!entry || !entry->at_ns)
        return 0;
    begun = entry->at_ns;
    duration = bpf_ktime_get_ns() - begun;
    entry->at_ns = 0;
    if (duration < KS_PARAM(min_us) * 1000)
        return 0;
    slow = calls.ringbuf_reserve(sizeof(struct slow_t));
    if (!slow)
        return 0;
    slow->at_ns = begun;
    slow->duration_ns = duration;
    slow->syscall = entry->number;
    slow->result = ctx[1];
    slow->error = slow->result < 0 && slow->result >= -4095 ? slow->result : 0;
    slow->user_stack = KS_PARAM(stacks) ? stacks.get_stackid(ctx, BPF_F_USER_STACK) : -1;
    KS_SET_TASK(slow);
    read_args(slow, (struct pt_regs *)ctx[0]);
    calls.ringbuf_submit(slow, 0);
    return 0;
}
