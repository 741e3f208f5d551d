/* Time in soft interrupts, by type. Runs as tp_btf. */

struct softirq_t {
    u32 vector;
    u32 cpu;
    u32 slot; /* 0 except in the histogram */
};

BPF_PERCPU_ARRAY(entered, u64, 1); /* a CPU runs one at a time */
BPF_HASH(softirqs, struct softirq_t, struct ks_totals);
KS_HISTOGRAM(latency, struct softirq_t);

/* softirq_entry(vector) */
int on_entry(u64 *ctx)
{
    u32 only = 0;

    KS_BEGIN(entered, &only);
    return 0;
}

/* softirq_exit(vector) */
int on_exit(u64 *ctx)
{
    struct softirq_t softirq = {.vector = ctx[0]};
    u32 only = 0;
    u64 took = KS_END(entered, &only);

    if (!took)
        return 0;
    if (KS_PARAM(by))
        softirq.cpu = bpf_get_smp_processor_id();
    KS_TOTAL(softirqs, &softirq, took);
    softirq.slot = ks_slot(took);
    KS_COUNT(latency, &softirq);
    return 0;
}
