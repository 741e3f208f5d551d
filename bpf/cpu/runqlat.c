/* Run queue latency: time that runnable tasks wait for a CPU. Runs as tp_btf: task_structs are read
 * directly. */

struct wait_t {
    char comm[16];
    u32 pid;
    u32 slot;
};

BPF_HASH(waiting, u32, u64, 65536);
KS_HISTOGRAM(latency, struct wait_t);

/* sched_wakeup(task) */
int on_wakeup(u64 *ctx)
{
    KS_WAITS(waiting, (struct task_struct *)ctx[0]);
    return 0;
}

static inline void end(struct task_struct *task)
{
    struct wait_t wait = {};
    u32 tid = task->pid;
    u64 waited = KS_END(waiting, &tid);

    if (!waited)
        return;
    wait.slot = ks_slot(waited);
    if (KS_PARAM(by) == 1)
        wait.pid = task->tgid;
    if (KS_PARAM(by))
        bpf_probe_read_kernel_str(wait.comm, sizeof(wait.comm), task->comm);
    KS_COUNT(latency, &wait);
}

/* sched_switch(preempt, prev, next): prev returns to the queue unless it went to sleep. */
int on_switch(u64 *ctx)
{
    struct task_struct *prev = (struct task_struct *)ctx[1];
    struct task_struct *next = (struct task_struct *)ctx[2];

    KS_PUT_BACK(waiting, ctx[0], prev);
    if (next->pid)
        end(next);
    return 0;
}
