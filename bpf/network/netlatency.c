/* Time of packets from the driver to a socket's queue, and to the program that read them. Runs as
 * tp_btf, or fentry: packets and sockets are read directly. */

#define TO_QUEUE 0
#define TO_READ  1

struct arrival_t {
    u64 at_ns;
    u64 queued;
};

struct latency_t {
    u32 stage;
    u16 protocol;
    u16 port;
    u64 slot;
};

BPF_TABLE("lru_hash", u64, struct arrival_t, arrived, 65536); /* by its memory */
BPF_TABLE("lru_hash", u64, u64, oldest, 65536);               /* unread in a socket's queue */
BPF_ARRAY(by_function, u64, 1);
KS_HISTOGRAM(latency, struct latency_t);

/* netif_receive_skb(skb) */
int on_receive(u64 *ctx)
{
    struct arrival_t arrival = {.at_ns = bpf_ktime_get_ns()};
    u64 head = (u64)((struct sk_buff *)ctx[0])->head;

    arrived.update(&head, &arrival);
    return 0;
}

static inline void count(struct sock *sk, u32 stage, u64 since)
{
    struct latency_t seen = {.stage = stage};
    u16 port = KS_READ(&sk->__sk_common.skc_num);

    if (KS_PARAM(port) && KS_PARAM(port) != port)
        return;
    seen.protocol = sk->sk_protocol;
    if (KS_PARAM(by))
        seen.port = port;
    seen.slot = ks_slot(bpf_ktime_get_ns() - since);
    KS_COUNT(latency, &seen);
}

/* Identifies a packet, even if it was copied on the way (clones share it). */
static inline u64 head_of(u64 skb)
{
    return ks_u64(&((struct sk_buff *)skb)->head);
}

/* sk_data_ready(sk), or sock_def_readable(sk): a packet is in the queue, at its end. TCP may have
 * put its data into the packet before, which was counted then. */
int on_ready(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];
    u16 family = sk->__sk_common.skc_family;
    u64 key = ctx[0], head, at_ns;
    struct arrival_t *arrival;

    if (family != AF_INET && family != KS_IPV6)
        return 0;
    head = head_of((u64)sk->sk_receive_queue.prev);
    arrival = arrived.lookup(&head);
    if (!arrival || arrival->queued)
        return 0;
    arrival->queued = 1;
    at_ns = arrival->at_ns;
    if (!oldest.lookup(&key))
        oldest.update(&key, &at_ns);
    count(sk, TO_QUEUE, at_ns);
    return 0;
}

/* The next packet to be read; UDP moves its queue to a second one for that. */
static inline u64 next_of(struct sock *sk)
{
    struct sk_buff_head *first = &sk->sk_receive_queue;
    struct sk_buff_head *second = &((struct udp_sock *)sk)->reader_queue;
    u64 next;

    if (sk->sk_protocol == IPPROTO_UDP) {
        next = ks_u64(&second->next);
        if (next && next != (u64)second)
            return next;
    }
    next = ks_u64(&first->next);
    return next == (u64)first ? 0 : next;
}

static inline int read(struct sock *sk, s64 result, u32 flags)
{
    u64 key = (u64)sk, *since = oldest.lookup(&key), at_ns, next;
    struct arrival_t *arrival;

    if (!since || result < 0 || flags & KS_PEEK)
        return 0;
    count(sk, TO_READ, *since);
    oldest.delete(&key);
    next = head_of(next_of(sk));
    arrival = arrived.lookup(&next);
    if (arrival && arrival->queued) {
        at_ns = arrival->at_ns;
        oldest.update(&key, &at_ns);
    }
    return 0;
}

/* sock_recv_length(sk, result, flags) */
int on_recv_length(u64 *ctx)
{
    return KS_IS_BY_FUNCTION(by_function) ? 0 : read((struct sock *)ctx[0], (s32)ctx[1], ctx[2]);
}

/* udp_recvmsg, udpv6_recvmsg, tcp_recvmsg(sk, message, size, flags, address_size) = result */
int on_recvmsg(u64 *ctx)
{
    KS_BY_FUNCTION(by_function);
    return read((struct sock *)ctx[0], (s32)ctx[5], ctx[3]);
}
