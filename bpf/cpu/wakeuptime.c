/* Time that threads slept, by who woke them. Runs as tp_btf; a wake-up is seen in the context of
 * the waker, so that the stacks are the waker's. */

struct waker_t {
    u32 pid;
    u32 woken_pid;
    s32 kernel_stack;
    s32 user_stack;
    char comm[16];
    char woken_comm[16];
};

BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(asleep, u32, u64, 65536);
BPF_HASH(wakers, struct waker_t, struct ks_totals);

/* sched_switch(preempt, prev, next) */
int on_switch(u64 *ctx)
{
    struct task_struct *prev = (struct task_struct *)ctx[1];
    struct task_struct *next = (struct task_struct *)ctx[2];
    u32 tid = prev->pid, running = next->pid;

    if (KS_STATE(prev) & TASK_DEAD)
        asleep.delete(&tid);
    else if (KS_SLEEPS(ctx[0], prev) && KS_KEEP_TASK(prev))
        KS_BEGIN(asleep, &tid);
    KS_END(asleep, &running);
    return 0;
}

/* sched_waking(task) */
int on_waking(u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[0];
    struct waker_t waker = {.woken_pid = task->tgid};
    u32 tid = task->pid;
    u64 slept = KS_END(asleep, &tid);

    if (!slept || slept < KS_PARAM(min_us) * 1000)
        return 0;
    waker.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&waker.comm, sizeof(waker.comm));
    bpf_probe_read_kernel_str(waker.woken_comm, sizeof(waker.woken_comm), task->comm);
    KS_STACKS(&waker, stacks, ctx);
    KS_TOTAL(wakers, &waker, slept);
    return 0;
}
