/* Disk I/O by process and disk. Runs as tp_btf: requests are read directly. */

struct user_t {
    u32 pid;
    u32 disk;
    u32 operation;
    char comm[16];
};

struct io_t {
    u64 at_ns;
    u64 bytes;
    struct user_t user;
};

struct totals_t {
    u64 count;
    u64 bytes;
    u64 total_ns;
    u64 max_ns;
};

BPF_TABLE("lru_hash", u64, struct ks_issuer, issuers, 8192);
BPF_HASH(issued, u64, struct io_t);
BPF_HASH(users, struct user_t, struct totals_t);

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
    struct ks_issuer issuer = {};
    struct io_t io = {};
    u64 key = ctx[0];

    if (!KS_ISSUER_OF(issuers, request, &issuer))
        return 0;
    io.at_ns = issuer.at_ns;
    io.bytes = request->__data_len;
    io.user.disk = KS_DISK(request);
    io.user.operation = request->cmd_flags & 0xff;
    io.user.pid = issuer.pid;
    __builtin_memcpy(io.user.comm, issuer.comm, sizeof(io.user.comm));
    issued.update(&key, &io);
    return 0;
}

static inline void add(struct io_t *io)
{
    u64 duration = bpf_ktime_get_ns() - io->at_ns;
    struct totals_t zero = {}, *totals;
    struct user_t user = io->user;

    totals = users.lookup_or_try_init(&user, &zero);
    if (!totals)
        return;
    lock_xadd(&totals->count, 1);
    lock_xadd(&totals->bytes, io->bytes);
    lock_xadd(&totals->total_ns, duration);
    ks_raise(&totals->max_ns, duration);
}

/* block_rq_complete(request, error, bytes) */
int on_complete(u64 *ctx)
{
    u64 key = ctx[0];
    struct io_t *io = issued.lookup(&key);

    if (!io || !KS_IS_WHOLE((struct request *)ctx[0], ctx[2]))
        return 0;
    add(io);
    issued.delete(&key);
    return 0;
}
