/* Time in the handlers of hardware interrupts. Runs as tp_btf: the irqaction is read directly. */

struct handler_t {
    u32 irq;
    u32 cpu;
    char name[32];
};

struct slot_t {
    u32 irq;
    u32 slot;
    char name[32];
};

BPF_PERCPU_ARRAY(entered, u64, 1); /* handlers run with interrupts off: one at a time */
BPF_HASH(hardirqs, struct handler_t, struct ks_totals);
KS_HISTOGRAM(latency, struct slot_t);

/* irq_handler_entry(irq, action) */
int on_entry(u64 *ctx)
{
    u32 zero = 0;

    KS_BEGIN(entered, &zero);
    return 0;
}

/* irq_handler_exit(irq, action, result) */
int on_exit(u64 *ctx)
{
    struct irqaction *action = (struct irqaction *)ctx[1];
    struct handler_t handler = {.irq = ctx[0]};
    struct slot_t slot = {.irq = ctx[0]};
    u32 zero = 0;
    u64 took = KS_END(entered, &zero);

    if (!took)
        return 0;
    if (KS_PARAM(by))
        handler.cpu = bpf_get_smp_processor_id();
    bpf_probe_read_kernel_str(handler.name, sizeof(handler.name), action->name);
    __builtin_memcpy(slot.name, handler.name, sizeof(slot.name));
    slot.slot = ks_slot(took);
    KS_TOTAL(hardirqs, &handler, took);
    KS_COUNT(latency, &slot);
    return 0;
}
