/* Memory allocated with malloc and not yet freed: by stack, and by allocation. */

struct piece_t {
    u64 address;
    u32 pid;
    u32 unused;
};

struct allocation_t {
    u64 at_ns;
    u64 bytes;
    s32 user_stack;
    u32 tid;
};

struct request_t {
    u64 bytes;
    u64 freed;  /* realloc: the allocation passed to it */
    u64 result; /* posix_memalign: where it stores the address */
};

struct site_t {
    u32 pid;
    s32 user_stack;
};

struct held_t {
    s64 bytes;
    s64 count;
    u64 allocated;
};

BPF_HASH(requests, u32, struct request_t);
BPF_HASH(pieces, struct piece_t, struct allocation_t, 262144);
BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(sites, struct site_t, struct held_t);

static inline int begin(u64 bytes, u64 freed, u64 result)
{
    struct request_t request = {.bytes = bytes, .freed = freed, .result = result};
    u32 tid = bpf_get_current_pid_tgid();

    requests.update(&tid, &request);
    return 0;
}

int on_malloc(struct pt_regs *ctx)
{
    return begin(PT_REGS_PARM1(ctx), 0, 0);
}

int on_calloc(struct pt_regs *ctx)
{
    return begin(PT_REGS_PARM1(ctx) * PT_REGS_PARM2(ctx), 0, 0);
}

int on_realloc(struct pt_regs *ctx)
{
    return begin(PT_REGS_PARM2(ctx), PT_REGS_PARM1(ctx), 0);
}

int on_aligned(struct pt_regs *ctx)
{
    return begin(PT_REGS_PARM2(ctx), 0, 0);
}

int on_posix_memalign(struct pt_regs *ctx)
{
    return begin(PT_REGS_PARM3(ctx), 0, PT_REGS_PARM1(ctx));
}

static inline void release(u32 pid, u64 address)
{
    struct piece_t piece = {.address = address, .pid = pid};
    struct site_t site = {.pid = pid};
    struct allocation_t *allocation = pieces.lookup(&piece);
    struct held_t *held;

    if (!allocation)
        return;
    site.user_stack = allocation->user_stack;
    held = sites.lookup(&site);
    if (held) {
        lock_xadd(&held->bytes, -(s64)allocation->bytes);
        lock_xadd(&held->count, -1);
    }
    pieces.delete(&piece);
}

static inline void take(struct piece_t *piece, struct allocation_t *allocation)
{
    struct site_t site = {.pid = piece->pid, .user_stack = allocation->user_stack};
    struct held_t zero = {}, *held = sites.lookup_or_try_init(&site, &zero);

    pieces.update(piece, allocation);
    if (!held)
        return;
    lock_xadd(&held->bytes, (s64)allocation->bytes);
    lock_xadd(&held->count, 1);
    lock_xadd(&held->allocated, 1);
}

/* The stack is taken at the return: at an entry it would lack the caller. */
int on_return(struct pt_regs *ctx)
{
    u64 pid_tgid = bpf_get_current_pid_tgid();
    struct piece_t piece = {.address = PT_REGS_RC(ctx), .pid = pid_tgid >> 32};
    struct allocation_t allocation = {.at_ns = bpf_ktime_get_ns(), .tid = pid_tgid};
    struct request_t *found;
    u32 tid = pid_tgid;

    found = requests.lookup(&tid);
    if (!found)
        return 0;
    struct request_t request = *found;
    requests.delete(&tid);
    if (request.result && !piece.address)
        bpf_probe_read_user(&piece.address, sizeof(piece.address), (void *)request.result);
    else if (request.result)
        return 0;
    if (request.freed && (piece.address || !request.bytes))
        release(piece.pid, request.freed);
    if (!piece.address || request.bytes < KS_PARAM(min_size))
        return 0;
    allocation.bytes = request.bytes;
    allocation.user_stack = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    take(&piece, &allocation);
    return 0;
}

int on_free(struct pt_regs *ctx)
{
    release(bpf_get_current_pid_tgid() >> 32, PT_REGS_PARM1(ctx));
    return 0;
}
