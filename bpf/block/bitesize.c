/* Disk I/O sizes. Runs as tp_btf: requests are read directly. */

enum { BY_COMM, BY_PID, ALL };

struct bite_t {
    char comm[16];
    u32 pid;
    u32 operation;
    u32 slot;
};

BPF_TABLE("lru_hash", u64, struct ks_issuer, issuers, 8192);
KS_HISTOGRAM(sizes, struct bite_t);

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
    struct bite_t bite = {};

    if (!KS_ISSUER_OF(issuers, request, &issuer))
        return 0;
    bite.operation = request->cmd_flags & 0xff;
    bite.slot = ks_slot(request->__data_len);
    if (KS_PARAM(by) == BY_PID)
        bite.pid = issuer.pid;
    if (KS_PARAM(by) != ALL)
        __builtin_memcpy(bite.comm, issuer.comm, sizeof(bite.comm));
    KS_COUNT(sizes, &bite);
    return 0;
}
