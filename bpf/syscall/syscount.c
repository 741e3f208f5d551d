/* System calls: how many, how many failed, and how long they took. */

struct entered_t {
    u64 at_ns; /* 0 when the task is in no system call that we saw begin */
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

/* An entry lives as long as its thread: writing in place costs a third of insert and delete. */
BPF_HASH(entered, u32, struct entered_t, 65536);
BPF_HASH(calls, struct call_t, struct totals_t);
KS_HISTOGRAM(latency, struct slot_t);

int on_enter(u64 *ctx)
{
    struct entered_t now = {.at_ns = bpf_ktime_get_ns(), .syscall = ctx[1]};
    u32 tid = bpf_get_current_pid_tgid();
    struct entered_t *entry = entered.lookup(&tid);

    if (entry)
        *entry = now;
    else
        entered.update(&tid, &now);
    return 0;
}

static inline void add_call(s32 syscall, u64 duration, bool failed)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
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
    u32 tid = bpf_get_current_pid_tgid();
    struct entered_t *entry = entered.lookup(&tid);
    s64 result = ctx[1];

    if (!entry || !entry->at_ns)
        return 0;
    u64 duration = bpf_ktime_get_ns() - entry->at_ns;
    s32 syscall = entry->syscall;
    bool failed = result < 0 && result >= -4095;

    entry->at_ns = 0;
    if (KS_PARAM(failed) && !failed)
        return 0;
    add_call(syscall, duration, failed);

    struct slot_t slot = {.syscall = syscall, .slot = ks_slot(duration)};
    KS_COUNT(latency, &slot);
    return 0;
}

int on_thread_exit(void *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();

    entered.delete(&tid);
    return 0;
}
