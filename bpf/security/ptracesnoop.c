/* Processes that inspect or control others: ptrace and reads or writes of their memory. */

struct trace_t {
    u64 at_ns;
    u64 address;
    KS_TASK;
    u32 target_pid;
    s32 syscall;
    s32 request;
    s32 result;
};

BPF_HASH(entered, u32, struct ks_call);
BPF_RINGBUF_OUTPUT(traces, 8);

/* ptrace(request, pid, address, data) */
int on_ptrace(struct ks_sys_enter *args)
{
    KS_ENTER(entered, args, 3);
    return 0;
}

/* process_vm_readv(pid, ...) and process_vm_writev: stored as if they were requests too. */
int on_memory(struct ks_sys_enter *args)
{
    struct ks_sys_enter shifted = {.number = args->number, .args = {-1, args->args[0]}};

    KS_ENTER(entered, &shifted, 3);
    return 0;
}

static inline bool attaches(s32 request)
{
    return request == PTRACE_TRACEME || request == PTRACE_ATTACH || request == PTRACE_SEIZE;
}

int on_exit(struct ks_sys_exit *args)
{
    struct trace_t trace = {.at_ns = bpf_ktime_get_ns()};
    struct ks_call call;

    if (!KS_LEAVE(entered, &call))
        return 0;
    trace.syscall = call.number;
    trace.request = call.args[0];
    trace.target_pid = call.args[1];
    trace.address = call.args[2];
    trace.result = args->result < 0 ? args->result : 0;
    if ((KS_PARAM(requests) && !attaches(trace.request)) || (KS_PARAM(failed) && !trace.result))
        return 0;
    KS_SET_TASK(&trace);
    traces.ringbuf_output(&trace, sizeof(trace), 0);
    return 0;
}
