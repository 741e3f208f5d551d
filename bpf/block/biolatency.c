/* Disk latency, by disk and operation. Runs as tp_btf: requests are read directly. */

struct io_t {
    u32 disk;
    u32 operation;
    u32 slot;
};

BPF_HASH(started, u64, u64);
KS_HISTOGRAM(latency, struct io_t);

static inline int start(u64 request)
{
    u64 now = bpf_ktime_get_ns();

    started.update(&request, &now);
    return 0;
}

/* Only --queued counts the time in the scheduler's queue; the first of the two events then starts
 * the clock. */
int on_insert(u64 *ctx)
{
    if (!KS_PARAM(queued) || !KS_OF_DISK((struct request *)ctx[0]))
        return 0;
    return start(ctx[0]);
}

int on_issue(u64 *ctx)
{
    u64 key = ctx[0];

    if (!KS_OF_DISK((struct request *)ctx[0]))
        return 0;
    if (KS_PARAM(queued) && started.lookup(&key))
        return 0;
    return start(key);
}

/* The request was merged into another one and will not complete itself. */
int on_merge(u64 *ctx)
{
    u64 key = ctx[0];

    started.delete(&key);
    return 0;
}

/* block_rq_complete(request, error, bytes) */
int on_complete(u64 *ctx)
{
    struct request *request = (struct request *)ctx[0];
    u64 key = ctx[0], *since;
    struct io_t io = {};

    if (!KS_IS_WHOLE(request, ctx[2]))
        return 0;
    since = started.lookup(&key);
    if (!since)
        return 0;
    io.slot = ks_slot(bpf_ktime_get_ns() - *since);
    started.delete(&key);
    io.disk = KS_DISK(request);
    io.operation = request->cmd_flags & 0xff;
    KS_COUNT(latency, &io);
    return 0;
}
