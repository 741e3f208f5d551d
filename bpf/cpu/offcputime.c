/* Off-CPU time by stack. Runs as tp_btf: task_structs are read directly, and the stacks are those
 * of the task that leaves. */

enum { BLOCKED, INTERRUPTIBLE, UNINTERRUPTIBLE, PREEMPTED, ALL };

struct left_t {
    u64 at_ns; /* 0 while the thread runs */
    s32 kernel_stack;
    s32 user_stack;
};

struct place_t {
    u32 pid;
    s32 kernel_stack;
    s32 user_stack;
    char comm[16];
};

BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(left, u32, struct left_t, 65536);
BPF_HASH(places, struct place_t, struct ks_totals);

static inline bool wanted(bool sleeps, u32 state)
{
    u64 asked = KS_PARAM(state);

    if (asked == ALL)
        return true;
    if (asked == PREEMPTED)
        return !sleeps;
    if (asked == INTERRUPTIBLE)
        return sleeps && state & TASK_INTERRUPTIBLE;
    if (asked == UNINTERRUPTIBLE)
        return sleeps && state & TASK_UNINTERRUPTIBLE && !(state & TASK_NOLOAD);
    return sleeps;
}

static inline void begin(u64 *ctx, u32 tid)
{
    struct left_t now = {.at_ns = bpf_ktime_get_ns()};

    KS_STACKS(&now, stacks, ctx);
    left.update(&tid, &now);
}

static inline void end(struct task_struct *task)
{
    struct place_t place = {.pid = task->tgid};
    u32 tid = task->pid;
    struct left_t *since = left.lookup(&tid);

    if (!since || !since->at_ns)
        return;
    u64 duration = bpf_ktime_get_ns() - since->at_ns;

    since->at_ns = 0;
    if (duration < KS_PARAM(min_us) * 1000)
        return;
    if (KS_PARAM(max_us) && duration > KS_PARAM(max_us) * 1000)
        return;
    place.kernel_stack = since->kernel_stack;
    place.user_stack = since->user_stack;
    bpf_probe_read_kernel_str(place.comm, sizeof(place.comm), task->comm);
    KS_TOTAL(places, &place, duration);
}

/* sched_switch(preempt, prev, next) */
int on_switch(u64 *ctx)
{
    struct task_struct *prev = (struct task_struct *)ctx[1];
    struct task_struct *next = (struct task_struct *)ctx[2];
    u32 state = KS_STATE(prev), tid = prev->pid;

    if (state & TASK_DEAD)
        left.delete(&tid);
    else if (tid && wanted(KS_SLEEPS(ctx[0], prev), state) && KS_KEEP_TASK(prev))
        begin(ctx, tid);
    if (next->pid)
        end(next);
    return 0;
}
