/* TCP round-trip times, as the kernel itself estimates them from acknowledgements. Runs as tp_btf:
 * sockets are read directly. */

struct ends_t {
    KS_ENDS;
};

struct estimate_t {
    u64 samples;
    u32 rtt_us;
    u32 variation_us;
    u32 lowest_us;
};

struct rtt_t {
    u16 family;
    u16 port;
    u8 remote[16];
    u32 slot;
};

BPF_HASH(connections, struct ends_t, struct estimate_t);
KS_HISTOGRAM(latency, struct rtt_t);

static inline void keep(struct ends_t *ends, struct tcp_sock *tcp, u32 rtt_us)
{
    struct estimate_t zero = {}, *estimate = connections.lookup_or_try_init(ends, &zero);

    if (!estimate)
        return;
    lock_xadd(&estimate->samples, 1);
    estimate->rtt_us = rtt_us;
    estimate->variation_us = tcp->mdev_us >> 2;
    estimate->lowest_us = tcp->rtt_min.s[0].v;
}

/* tcp_probe(sk, skb): a packet has arrived on an established connection */
int on_packet(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];
    struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
    struct ends_t ends = {};
    struct rtt_t rtt = {};
    u32 rtt_us;

    KS_SET_ENDS(&ends, sk);
    if (!tcp || !KS_HAS_PORT(&ends, KS_PARAM(port)))
        return 0;
    rtt_us = tcp->srtt_us >> 3;
    keep(&ends, tcp, rtt_us);
    rtt.slot = ks_slot(rtt_us);
    if (KS_PARAM(by) == 1) {
        rtt.family = ends.family;
        __builtin_memcpy(rtt.remote, ends.remote, sizeof(rtt.remote));
    }
    if (KS_PARAM(by) == 2)
        rtt.port = ends.local_port;
    if (KS_PARAM(by) == 3)
        rtt.port = ends.remote_port;
    KS_COUNT(latency, &rtt);
    return 0;
}
