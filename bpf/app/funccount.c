/* Number of calls of any function. */

struct caller_t {
    char comm[16];
    u32 pid;
    u32 hook;
};

BPF_HASH(calls, struct caller_t, u64);

int on_call(void *ctx)
{
    struct caller_t caller = {.hook = KS_HOOK};

    if (KS_PARAM(by) == 1)
        caller.pid = bpf_get_current_pid_tgid() >> 32;
    if (KS_PARAM(by))
        bpf_get_current_comm(&caller.comm, sizeof(caller.comm));
    KS_COUNT(calls, &caller);
    return 0;
}
