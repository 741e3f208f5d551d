/* System calls: count, errors and time. */

struct entered_t {
    u64 at_ns; /* 0 if the task is in no system call whose start was seen */
    u64 syscall;
};

struct call_t {
    char comm[16];
    u32 pid;
    s32 syscall;
};

struct totals_t {
    u64 count;
    u64 errors;
    u64 total_ns;
    u64 max_ns;
};

struct slot_t {
    s32 syscall;
    u32 slot;
};

BPF_TASK_STORAGE(entered, struct entered_t);
BPF_HASH(calls, struct call_t, struct totals_t);
KS_HISTOGRAM(latency, struct slot_t);

int on_enter(u64 *ctx)
{
    struct task_struct *task = KS_TASK_NOW();
    struct entered_t *entry = KS_OWN(entered, task);

    if (!entry)
        return 0;
    entry->syscall = ks_syscall(task, ctx[1]);
    entry->at_ns = bpf_ktime_get_ns();
    return 0;
}

static inline void add_call(struct task_struct *task, s32 syscall, u64 duration, bool failed)
{
    struct call_t call = {.syscall = -1};
    struct totals_t zero = {}, *totals;

    if (KS_PARAM(by) != 1) {
        call.pid = task->tgid;
        ks_set_comm(call.comm, task);
    }
    if (KS_PARAM(by) != 2)
        call.syscall = syscall;
    totals = calls.lookup_or_try_init(&call, &zero);
    if (!totals)
        return;
    lock_xadd(&totals->count, 1);
    lock_xadd(&totals->total_ns, duration);
    if (failed)
        lock_xadd(&totals->errors, 1);
    ks_raise(&totals->max_ns, duration);
}

int on_exit(u64 *ctx)
{
    struct task_struct *task = KS_TASK_NOW();
    struct entered_t *entry = KS_OWN_IF_ANY(entered, task);
    s64 result = ctx[1];

    if (!entry || !entry->at_ns)
        return 0;
    u64 duration = bpf_ktime_get_ns() - entry->at_ns;
    s32 syscall = entry->syscall;
    bool failed = result < 0 && result >= -4095;

    entry->at_ns = 0;
    if (KS_PARAM(failed) && !failed)
        return 0;
    add_call(task, syscall, duration, failed);

    struct slot_t slot = {.syscall = syscall, .slot = ks_slot(duration)};
    KS_COUNT(latency, &slot);
    return 0;
}
