/* Lock waits: which code waited on a futex, how often and how long. */

struct wait_t {
    u64 lock;
    u32 pid;
    s32 user_stack;
    char comm[16];
};

BPF_TASK_STORAGE(entered, struct ks_call);
BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(waits, struct wait_t, struct ks_totals);

/* Operations of futex(2) that wait, without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME. */
static inline bool is_wait(u64 operation)
{
    switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
    case FUTEX_WAIT_REQUEUE_PI:
        return true;
    }
    return false;
}

int on_futex(struct ks_sys_enter *args)
{
    if (is_wait((u32)args->args[1]))
        KS_OWN_ENTER(entered, args, 1);
    return 0;
}

int on_futex_wait(struct ks_sys_enter *args)
{
    KS_OWN_ENTER(entered, args, 1);
    return 0;
}

/* EAGAIN: the lock was free by then, and nothing waited. */
int on_exit(struct ks_sys_exit *args)
{
    struct wait_t wait = {.user_stack = -1};
    struct ks_call call;
    u64 duration;

    if (!KS_OWN_LEAVE(entered, &call) || args->result == -EAGAIN)
        return 0;
    duration = bpf_ktime_get_ns() - call.at_ns;
    if (duration < KS_PARAM(min_us) * 1000)
        return 0;
    wait.pid = bpf_get_current_pid_tgid() >> 32;
    if (KS_PARAM(by) == 0)
        wait.user_stack = stacks.get_stackid(args, BPF_F_USER_STACK);
    if (KS_PARAM(by) == 1)
        wait.lock = call.args[0];
    bpf_get_current_comm(&wait.comm, sizeof(wait.comm));
    KS_TOTAL(waits, &wait, duration);
    return 0;
}
