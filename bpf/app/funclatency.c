/* Function latency, from entry to return. */

struct latency_t {
    char comm[16];
    u32 pid;
    u32 hook;
    u32 slot;
};

struct function_t {
    char comm[16];
    u32 pid;
    u32 hook;
};

BPF_HASH(nesting, struct ks_frame, struct ks_nesting, 65536);
BPF_HASH(begun, struct ks_frame, u64, 65536);
KS_HISTOGRAM(latency, struct latency_t);
BPF_HASH(functions, struct function_t, struct ks_totals);

int on_call(void *ctx)
{
    struct ks_frame frame;

    KS_FRAME_BEGINS(nesting, ctx, &frame);
    KS_BEGIN(begun, &frame);
    return 0;
}

int on_return(void *ctx)
{
    struct latency_t latency_key = {.hook = KS_HOOK};
    struct function_t function = {.hook = KS_HOOK};
    struct ks_frame frame;

    if (!KS_FRAME_ENDS(nesting, &frame))
        return 0;
    u64 took = KS_END(begun, &frame);

    if (!took)
        return 0;
    if (KS_PARAM(by) == 1)
        latency_key.pid = function.pid = bpf_get_current_pid_tgid() >> 32;
    if (KS_PARAM(by)) {
        bpf_get_current_comm(&latency_key.comm, sizeof(latency_key.comm));
        __builtin_memcpy(function.comm, latency_key.comm, sizeof(function.comm));
    }
    KS_TOTAL(functions, &function, took);
    latency_key.slot = ks_slot(took);
    KS_COUNT(latency, &latency_key);
    return 0;
}
