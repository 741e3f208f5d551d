/* Disk latency over time. Runs as tp_btf: requests are read directly. */

struct cell_t {
    u64 at_ns;
    u32 operation;
    u32 slot;
};

BPF_HASH(started, u64, u64);
BPF_HASH(heat, struct cell_t, u64, 131072);

/* block_rq_issue(request) */
int on_issue(u64 *ctx)
{
    u64 key = ctx[0], now = bpf_ktime_get_ns();

    if (KS_OF_DISK((struct request *)ctx[0]))
        started.update(&key, &now);
    return 0;
}

/* block_rq_complete(request, error, bytes) */
int on_complete(u64 *ctx)
{
    struct request *request = (struct request *)ctx[0];
    u64 key = ctx[0], now = bpf_ktime_get_ns(), *since = started.lookup(&key);
    struct cell_t cell = {.operation = request->cmd_flags & 0xff};

    if (!since || !KS_IS_WHOLE(request, ctx[2]))
        return 0;
    cell.slot = ks_slot(now - *since);
    cell.at_ns = now - now % KS_PARAM(moment);
    started.delete(&key);
    KS_COUNT(heat, &cell);
    return 0;
}
