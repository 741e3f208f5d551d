/* Time in soft interrupts, by what they are for. Runs as tp_btf. */

struct vector_t {
    u32 vector;
    u32 cpu;
};

struct slot_t {
    u32 vector;
    u32 slot;
};

BPF_PERCPU_ARRAY(entered, u64, 1); /* a CPU runs one at a time */
BPF_HASH(softirqs, struct vector_t, struct ks_totals);
KS_HISTOGRAM(latency, struct slot_t);

/* softirq_entry(vector) */
int on_entry(u64 *ctx)
{
    u32 zero = 0;

    KS_BEGIN(entered, &zero);
    return 0;
}

/* softirq_exit(vector) */
int on_exit(u64 *ctx)
{
    struct vector_t vector = {.vector = ctx[0]};
    struct slot_t slot = {.vector = ctx[0]};
    u32 zero = 0;
    u64 took = KS_END(entered, &zero);

    if (!took)
        return 0;
    if (KS_PARAM(by))
        vector.cpu = bpf_get_smp_processor_id();
    slot.slot = ks_slot(took);
    KS_TOTAL(softirqs, &vector, took);
    KS_COUNT(latency, &slot);
    return 0;
}
