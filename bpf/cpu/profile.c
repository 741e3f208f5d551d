/* Where CPU time goes: stacks sampled at a fixed rate. */

struct sample_t {
    u32 pid;
    s32 kernel_stack;
    s32 user_stack;
    char comm[16];
};

BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(samples, struct sample_t, u64);

int on_sample(struct bpf_perf_event_data *ctx)
{
    struct sample_t sample = {.kernel_stack = -1, .user_stack = -1};

    sample.pid = bpf_get_current_pid_tgid() >> 32;
    if (!sample.pid && !KS_PARAM(idle))
        return 0;
    bpf_get_current_comm(&sample.comm, sizeof(sample.comm));
    if (KS_PARAM(stacks) != 1)
        sample.kernel_stack = stacks.get_stackid(&ctx->regs, 0);
    if (KS_PARAM(stacks) != 2)
        sample.user_stack = stacks.get_stackid(&ctx->regs, BPF_F_USER_STACK);
    KS_COUNT(samples, &sample);
    return 0;
}
