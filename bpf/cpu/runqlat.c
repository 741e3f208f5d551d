/* How long tasks that could run waited for a CPU. Runs as tp_btf: task_structs are read directly.
 */

struct wait_t {
    char comm[16];
    u32 pid;
    u32 slot;
};

BPF_HASH(waiting, u32, u64, 65536);
KS_HISTOGRAM(latency, struct wait_t);

static inline void begin(struct task_struct *task)
{
    u32 tid = task->pid;

    if (tid && KS_KEEP_TASK(task))
        KS_BEGIN(waiting, &tid);
}

int on_wakeup(u64 *ctx)
{
    begin((struct task_struct *)ctx[0]);
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

/* sched_switch(preempt, prev, next): prev goes back to the queue if it did not ask to sleep. */
int on_switch(u64 *ctx)
{
    struct task_struct *prev = (struct task_struct *)ctx[1];
    struct task_struct *next = (struct task_struct *)ctx[2];
    u32 tid = prev->pid;

    if (ctx[0] & 1 || prev->__state == TASK_RUNNING)
        begin(prev);
    else if (prev->__state & TASK_DEAD)
        waiting.delete(&tid);
    if (next->pid)
        end(next);
    return 0;
}
