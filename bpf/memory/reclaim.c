/* Tasks that had to free memory themselves before an allocation (direct reclaim). */

enum { DIRECT = 1, LIMIT };

struct begun_t {
    u64 at_ns;
    u32 kind;
    s32 order;
};

struct reclaim_t {
    u64 at_ns;
    u64 duration_ns;
    u64 pages;
    u32 kind;
    s32 order;
    KS_TASK;
};

BPF_HASH(begun, u32, struct begun_t);
BPF_RINGBUF_OUTPUT(reclaims, 8);

/* ..._begin(order, flags) */
static inline int begin(u64 *ctx, u32 kind)
{
    struct begun_t now = {.at_ns = bpf_ktime_get_ns(), .kind = kind, .order = ctx[0]};
    u32 tid = bpf_get_current_pid_tgid();

    begun.update(&tid, &now);
    return 0;
}

int on_direct(u64 *ctx)
{
    return begin(ctx, DIRECT);
}

int on_limit(u64 *ctx)
{
    return begin(ctx, LIMIT);
}

/* ..._end(pages) */
int on_end(u64 *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct begun_t *found = begun.lookup(&tid);
    struct reclaim_t reclaim = {.pages = ctx[0]};

    if (!found)
        return 0;
    reclaim.at_ns = found->at_ns;
    reclaim.duration_ns = bpf_ktime_get_ns() - found->at_ns;
    reclaim.kind = found->kind;
    reclaim.order = found->order;
    begun.delete(&tid);
    if (reclaim.duration_ns < KS_PARAM(min_us) * 1000)
        return 0;
    KS_SET_TASK(&reclaim);
    reclaims.ringbuf_output(&reclaim, sizeof(reclaim), 0);
    return 0;
}
