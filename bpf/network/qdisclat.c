/* Time that packets wait in an interface's queue. Runs as tp_btf: queues and packets are read
 * directly. */

#define MOST_AT_ONCE 64 /* packets that are taken out together, chained by skb->next */

struct wait_t {
    char interface[16];
    char qdisc[16];
    u64 slot;
};

BPF_TABLE("lru_hash", u64, u64, queued, 65536);
KS_HISTOGRAM(latency, struct wait_t);

/* qdisc_enqueue(qdisc, txq, skb) */
int on_enqueue(u64 *ctx)
{
    u64 now = bpf_ktime_get_ns(), skb = ctx[2];

    queued.update(&skb, &now);
    return 0;
}

static inline void count(struct wait_t *wait, u64 skb, u64 now)
{
    u64 *since = queued.lookup(&skb);

    if (!since || now < *since)
        return;
    wait->slot = ks_slot(now - *since);
    queued.delete(&skb);
    KS_COUNT(latency, wait);
}

/* qdisc_dequeue(qdisc, txq, packets, skb) */
int on_dequeue(u64 *ctx)
{
    struct Qdisc *qdisc = (struct Qdisc *)ctx[0];
    struct sk_buff *skb = (struct sk_buff *)ctx[3];
    u64 now = bpf_ktime_get_ns();
    struct wait_t wait = {};

    if (!skb)
        return 0;
    bpf_probe_read_kernel_str(wait.interface, 16, qdisc->dev_queue->dev->name);
    bpf_probe_read_kernel_str(wait.qdisc, 16, qdisc->ops->id);
    for (u32 i = 0; i < MOST_AT_ONCE && skb; i++) {
        count(&wait, (u64)skb, now);
        skb = ks_pointer(&skb->next);
    }
    return 0;
}
