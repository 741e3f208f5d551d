/* Disk latency by the code that caused it. Runs as tp_btf: requests are read directly. */

struct origin_t {
    u32 pid;
    u32 disk;
    u32 operation;
    s32 kernel_stack;
    s32 user_stack;
    char comm[16];
};

struct io_t {
    u64 at_ns;
    struct origin_t origin;
};

BPF_STACK_TRACE(stacks, 16384);
BPF_TABLE("lru_hash", u64, struct ks_issuer, issuers, 8192);
BPF_HASH(issued, u64, struct io_t);
BPF_HASH(origins, struct origin_t, struct ks_totals);

/* block_getrq(bio): stacks are taken only for requests that pass the filters. */
int on_getrq(u64 *ctx)
{
    struct ks_issuer issuer = {.kernel_stack = -1, .user_stack = -1};
    u64 bio = ctx[0];

    ks_set_issuer(&issuer);
    if (issuer.kept)
        KS_STACKS(&issuer, stacks, ctx);
    issuers.update(&bio, &issuer);
    return 0;
}

/* block_rq_issue(request): a request without a known bio shows the stack that issues it. */
int on_issue(u64 *ctx)
{
    struct request *request = (struct request *)ctx[0];
    struct ks_issuer issuer = {.kernel_stack = -1, .user_stack = -1};
    struct io_t io = {};
    u64 key = ctx[0];

    if (!KS_ISSUER_OF(issuers, request, &issuer))
        return 0;
    if (issuer.kernel_stack == -1 && issuer.user_stack == -1)
        KS_STACKS(&issuer, stacks, ctx);
    io.at_ns = issuer.at_ns;
    io.origin.pid = issuer.pid;
    io.origin.disk = KS_DISK(request);
    io.origin.operation = request->cmd_flags & 0xff;
    io.origin.kernel_stack = issuer.kernel_stack;
    io.origin.user_stack = issuer.user_stack;
    __builtin_memcpy(io.origin.comm, issuer.comm, sizeof(io.origin.comm));
    issued.update(&key, &io);
    return 0;
}

/* block_rq_complete(request, error, bytes) */
int on_complete(u64 *ctx)
{
    struct origin_t origin;
    u64 key = ctx[0];
    struct io_t *io = issued.lookup(&key);

    if (!io || !KS_IS_WHOLE((struct request *)ctx[0], ctx[2]))
        return 0;
    u64 duration = bpf_ktime_get_ns() - io->at_ns;

    origin = io->origin;
    if (duration >= KS_PARAM(min_us) * 1000)
        KS_TOTAL(origins, &origin, duration);
    issued.delete(&key);
    return 0;
}
