/* Processes that look into or steer other processes: ptrace and reads or writes of their memory. */

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

int on_ptrace(struct ks_sys_enter *args)
{
    KS_ENTER(entered, args, 4);
    return 0;
}

int on_exit(struct ks_sys_exit *args)
{
    struct trace_t trace = {.at_ns = bpf_ktime_get_ns(), .request = -1};
    struct ks_call call;
    bool attaches;

    if (!KS_LEAVE(entered, &call))
        return 0;
    trace.syscall = call.number;
    trace.request = call.args[0];
    trace.target_pid = call.args[1];
    trace.address = call.args[2];
    attaches = trace.request == PTRACE_TRACEME || trace.request == PTRACE_ATTACH ||
               trace.request == PTRACE_SEIZE;
    if (KS_PARAM(requests) && !attaches)
        return 0;
    trace.result = args->result < 0 ? args->result : 0;
    if (KS_PARAM(failed) && !trace.result)
        return 0;
    KS_SET_TASK(&trace);
    traces.ringbuf_output(&trace, sizeof(trace), 0);
    return 0;
}

int on_memory(struct ks_sys_enter *args)
{
    KS_ENTER(entered, args, 1);
    return 0;
}

/* process_vm_readv(pid, ...) and process_vm_writev have no request and no address of their own. */
int on_memory_exit(struct ks_sys_exit *args)
{
    struct trace_t trace = {.at_ns = bpf_ktime_get_ns(), .request = -1};
    struct ks_call call;

    if (!KS_LEAVE(entered, &call) || KS_PARAM(requests))
        return 0;
    trace.syscall = call.number;
    trace.target_pid = call.args[0];
    trace.result = args->result < 0 ? args->result : 0;
    if (KS_PARAM(failed) && !trace.result)
        return 0;
    KS_SET_TASK(&trace);
    traces.ringbuf_output(&trace, sizeof(trace), 0);
    return 0;
}
