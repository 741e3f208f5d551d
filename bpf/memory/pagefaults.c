/* Page faults, by process, kind and user stack. The hooks are the kernel's own counters of minor
 * and major faults, sampled at every fault. */

enum { MINOR = 1, MAJOR };

struct fault_t {
    u32 pid;
    u32 kind;
    s32 user_stack;
    char comm[16];
};

BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(faults, struct fault_t, u64);

static inline int count(struct bpf_perf_event_data *ctx, u32 kind)
{
    struct fault_t fault = {.kind = kind, .user_stack = -1};

    fault.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&fault.comm, sizeof(fault.comm));
    if (KS_PARAM(stacks))
        fault.user_stack = stacks.get_stackid(&ctx->regs, BPF_F_USER_STACK);
    KS_COUNT(faults, &fault);
    return 0;
}

int on_minor(struct bpf_perf_event_data *ctx)
{
    return count(ctx, MINOR);
}

int on_major(struct bpf_perf_event_data *ctx)
{
    return count(ctx, MAJOR);
}
