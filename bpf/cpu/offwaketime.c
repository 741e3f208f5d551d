/* Time that threads slept, by where they slept and who woke them. Runs as tp_btf; a wake-up is seen
 * in the context of the waker. */

struct left_t {
    u64 at_ns; /* 0 while the thread does not sleep */
    s32 kernel_stack;
    s32 user_stack;
};

struct sleep_t {
    u32 pid;
    u32 waker_pid;
    s32 kernel_stack;
    s32 user_stack;
    s32 waker_kernel_stack;
    char comm[16];
    char waker_comm[16];
};

BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(left, u32, struct left_t, 65536);
BPF_HASH(sleeps, struct sleep_t, struct ks_totals);

/* sched_switch(preempt, prev, next) */
int on_switch(u64 *ctx)
{
    struct task_struct *prev = (struct task_struct *)ctx[1];
    struct task_struct *next = (struct task_struct *)ctx[2];
    struct left_t now = {.at_ns = bpf_ktime_get_ns()}, *since;
    u32 tid = prev->pid, running = next->pid;

    if (KS_STATE(prev) & TASK_DEAD) {
        left.delete(&tid);
    } else if (KS_SLEEPS(ctx[0], prev) && KS_KEEP_TASK(prev)) {
        KS_STACKS(&now, stacks, ctx);
        left.update(&tid, &now);
    }
    since = left.lookup(&running);
    if (since)
        since->at_ns = 0;
    return 0;
}

/* sched_waking(task) */
int on_waking(u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[0];
    struct sleep_t sleep = {.pid = task->tgid};
    u32 tid = task->pid;
    struct left_t *since = left.lookup(&tid);

    if (!since || !since->at_ns)
        return 0;
    u64 slept = bpf_ktime_get_ns() - since->at_ns;

    since->at_ns = 0;
    if (slept < KS_PARAM(min_us) * 1000)
        return 0;
    sleep.kernel_stack = since->kernel_stack;
    sleep.user_stack = since->user_stack;
    sleep.waker_kernel_stack = stacks.get_stackid(ctx, 0);
    sleep.waker_pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&sleep.waker_comm, sizeof(sleep.waker_comm));
    bpf_probe_read_kernel_str(sleep.comm, sizeof(sleep.comm), task->comm);
    KS_TOTAL(sleeps, &sleep, slept);
    return 0;
}
