/* How long tasks that could run waited for a CPU. Runs as tp_btf: task_structs are read directly.
 */

struct wait_t {
    char comm[16];
    u32 pid;
    u32 slot;
};

/* 0 when the task is not waiting. An entry lives as long as its thread: writing in place costs a
 * third of insert and delete. */
BPF_HASH(waiting, u32, u64, 65536);
KS_HISTOGRAM(latency, struct wait_t);

static inline void begin(struct task_struct *task)
{
    u64 now = bpf_ktime_get_ns(), *since;
    u32 tid = task->pid;

    if (!tid || !KS_KEEP_TASK(task))
        return;
    since = waiting.lookup(&tid);
    if (since)
        *since = now;
    else
        waiting.update(&tid, &now);
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
    u64 *since = waiting.lookup(&tid), zero = 0, *count;

    if (!since || !*since)
        return;
    wait.slot = ks_slot(bpf_ktime_get_ns() - *since);
    *since = 0;
    if (KS_PARAM(by) == 1)
        wait.pid = task->tgid;
    if (KS_PARAM(by))
        bpf_probe_read_kernel_str(wait.comm, sizeof(wait.comm), task->comm);
    count = latency.lookup_or_try_init(&wait, &zero);
    if (count)
        lock_xadd(count, 1);
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
