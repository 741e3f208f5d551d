/* The frequency at which threads run, and how often the CPUs change theirs. */

struct change_t {
    u32 cpu;
    u32 khz;
};

struct sample_t {
    u32 cpu;
    u32 khz; /* 0 before the CPU's first change */
    char comm[16];
};

BPF_HASH(current_khz, u32, u32);
BPF_HASH(changes, struct change_t, u64);
BPF_HASH(samples, struct sample_t, u64);

/* cpu_frequency(khz, cpu): about any CPU, fires on any CPU. */
int on_frequency(u64 *ctx)
{
    struct change_t change = {.khz = ctx[0], .cpu = ctx[1]};

    current_khz.update(&change.cpu, &change.khz);
    KS_COUNT(changes, &change);
    return 0;
}

int on_sample(struct bpf_perf_event_data *ctx)
{
    struct sample_t sample = {.cpu = bpf_get_smp_processor_id()};
    u32 *khz = current_khz.lookup(&sample.cpu);

    if (!(bpf_get_current_pid_tgid() >> 32))
        return 0;
    if (khz)
        sample.khz = *khz;
    if (KS_PARAM(by))
        bpf_get_current_comm(&sample.comm, sizeof(sample.comm));
    KS_COUNT(samples, &sample);
    return 0;
}
