/* Python's garbage collections: generation, duration, and objects found. */

struct collection_t {
    u64 at_ns;
    u64 duration_ns;
    s64 collected;
    s32 generation;
    KS_TASK;
};

struct begun_t {
    u64 at_ns;
    s32 generation;
};

BPF_HASH(begun, u32, struct begun_t, 4096);
BPF_RINGBUF_OUTPUT(collections, 8);

int on_start(struct pt_regs *ctx)
{
    struct begun_t now = {.at_ns = bpf_ktime_get_ns()};
    u32 tid = bpf_get_current_pid_tgid();

    bpf_usdt_readarg(1, ctx, &now.generation);
    begun.update(&tid, &now);
    return 0;
}

int on_done(struct pt_regs *ctx)
{
    struct collection_t collection = {};
    u32 tid = bpf_get_current_pid_tgid();
    struct begun_t *started = begun.lookup(&tid);

    if (!started)
        return 0;
    collection.at_ns = started->at_ns;
    collection.duration_ns = bpf_ktime_get_ns() - started->at_ns;
    collection.generation = started->generation;
    begun.delete(&tid);
    if (collection.duration_ns < KS_PARAM(min_us) * 1000)
        return 0;
    bpf_usdt_readarg(1, ctx, &collection.collected);
    KS_SET_TASK(&collection);
    collections.ringbuf_output(&collection, sizeof(collection), 0);
    return 0;
}
