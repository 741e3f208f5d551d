/* Which CPUs threads run on, sampled. */

struct sample_t {
    char comm[16];
    u32 pid;
    u32 cpu;
};

BPF_HASH(samples, struct sample_t, u64);

int on_sample(struct bpf_perf_event_data *ctx)
{
    struct sample_t sample = {.cpu = bpf_get_smp_processor_id()};
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    if (!pid && !KS_PARAM(idle))
        return 0;
    if (!KS_PARAM(by))
        sample.pid = pid;
    bpf_get_current_comm(&sample.comm, sizeof(sample.comm));
    KS_COUNT(samples, &sample);
    return 0;
}
