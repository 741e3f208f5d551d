/* Each disk I/O: process, position, size and latency. Runs as tp_btf: requests are read
 * directly. */

struct io_t {
    u64 at_ns;
    u64 queued_ns;
    u64 device_ns;
    u64 sector;
    u32 bytes;
    u32 disk;
    u32 operation;
    u32 status;
    KS_TASK;
};

BPF_TABLE("lru_hash", u64, struct ks_issuer, issuers, 8192);
BPF_HASH(issued, u64, struct io_t);
BPF_RINGBUF_OUTPUT(ios, 8);

/* block_getrq(bio) */
int on_getrq(u64 *ctx)
{
    KS_ISSUER(issuers, ctx[0]);
    return 0;
}

/* block_rq_issue(request) */
int on_issue(u64 *ctx)
{
    struct request *request = (struct request *)ctx[0];
    struct io_t io = {.at_ns = bpf_ktime_get_ns()};
    struct ks_issuer issuer = {};
    u64 key = ctx[0];

    if (!KS_ISSUER_OF(issuers, request, &issuer))
        return 0;
    if (issuer.at_ns < io.at_ns)
        io.queued_ns = io.at_ns - issuer.at_ns;
    io.sector = request->__data_len ? request->__sector : 0; /* a flush has no position */
    io.bytes = request->__data_len;
    io.disk = KS_DISK(request);
    io.operation = request->cmd_flags & 0xff;
    io.pid = issuer.pid;
    io.tid = issuer.tid;
    io.uid = issuer.uid;
    __builtin_memcpy(io.comm, issuer.comm, sizeof(io.comm));
    issued.update(&key, &io);
    return 0;
}

/* block_rq_complete(request, error, bytes) */
int on_complete(u64 *ctx)
{
    u64 key = ctx[0];
    struct io_t *io = issued.lookup(&key);

    if (!io || !KS_IS_WHOLE((struct request *)ctx[0], ctx[2]))
        return 0;
    io->device_ns = bpf_ktime_get_ns() - io->at_ns;
    io->status = ctx[1] & 0xff;
    if (io->queued_ns + io->device_ns >= KS_PARAM(min_us) * 1000)
        ios.ringbuf_output(io, sizeof(*io), 0);
    issued.delete(&key);
    return 0;
}
