/* Time in hardware interrupt handlers. Runs as tp_btf: the irqaction is read directly. */

struct handler_t {
    char name[32];
    u32 irq;
    u32 cpu;
    u32 slot; /* 0 except in the histogram */
};

BPF_PERCPU_ARRAY(entered, u64, 1); /* handlers run with interrupts disabled: one at a time */
BPF_HASH(hardirqs, struct handler_t, struct ks_totals);
KS_HISTOGRAM(latency, struct handler_t);

/* irq_handler_entry(irq, action) */
int on_entry(u64 *ctx)
{
    u32 only = 0;

    KS_BEGIN(entered, &only);
    return 0;
}

/* irq_handler_exit(irq, action, result) */
int on_exit(u64 *ctx)
{
    struct irqaction *action = (struct irqaction *)ctx[1];
    struct handler_t handler = {.irq = ctx[0]};
    u32 only = 0;
    u64 took = KS_END(entered, &only);

    if (!took)
        return 0;
    bpf_probe_read_kernel_str(handler.name, sizeof(handler.name), action->name);
    if (KS_PARAM(by))
        handler.cpu = bpf_get_smp_processor_id();
    KS_TOTAL(hardirqs, &handler, took);
    handler.slot = ks_slot(took);
    KS_COUNT(latency, &handler);
    return 0;
}
