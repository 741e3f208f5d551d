/* Call paths to a function: the stacks of its calls, counted. */

struct way_t {
    char comm[16];
    u32 pid;
    u32 hook;
    s32 kernel_stack;
    s32 user_stack;
};

BPF_STACK_TRACE(traces, 16384);
BPF_HASH(ways, struct way_t, u64);

int on_call(void *ctx)
{
    struct way_t way = {.hook = KS_HOOK};

    way.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&way.comm, sizeof(way.comm));
    KS_STACKS(&way, traces, ctx);
    KS_COUNT(ways, &way);
    return 0;
}
