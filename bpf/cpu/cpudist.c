/* How long threads run on a CPU, or stay off it. Runs as tp_btf: task_structs are read directly. */

enum { ALL, BY_PID, BY_COMM };

struct stint_t {
    char comm[16];
    u32 pid;
    u32 slot;
};

BPF_PERCPU_ARRAY(switched, u64, 1); /* when this CPU switched to its thread */
BPF_HASH(left, u32, u64, 65536);
KS_HISTOGRAM(stints, struct stint_t);

static inline void add(struct task_struct *task, u64 duration)
{
    struct stint_t stint = {.slot = ks_slot(duration)};

    if (KS_PARAM(by) == BY_PID)
        stint.pid = task->tgid;
    if (KS_PARAM(by))
        bpf_probe_read_kernel_str(stint.comm, sizeof(stint.comm), task->comm);
    KS_COUNT(stints, &stint);
}

static inline void on_cpu(struct task_struct *prev)
{
    u64 now = bpf_ktime_get_ns(), *since;
    u32 zero = 0;

    since = switched.lookup(&zero);
    if (!since)
        return;
    if (*since && prev->pid && KS_KEEP_TASK(prev))
        add(prev, now - *since);
    *since = now;
}

static inline void off_cpu(struct task_struct *prev, struct task_struct *next)
{
    u32 leaves = prev->pid, returns = next->pid;
    u64 away;

    if (KS_STATE(prev) & TASK_DEAD)
        left.delete(&leaves);
    else if (leaves && KS_KEEP_TASK(prev))
        KS_BEGIN(left, &leaves);
    away = KS_END(left, &returns);
    if (away)
        add(next, away);
}

/* sched_switch(preempt, prev, next) */
int on_switch(u64 *ctx)
{
    struct task_struct *prev = (struct task_struct *)ctx[1];
    struct task_struct *next = (struct task_struct *)ctx[2];

    if (KS_PARAM(off))
        off_cpu(prev, next);
    else
        on_cpu(prev);
    return 0;
}
