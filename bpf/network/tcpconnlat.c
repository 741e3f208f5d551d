/* TCP connect latency: slow connections one by one, and a histogram. Runs as tp_btf: sockets are
 * read directly. */

struct connect_t {
    u64 at_ns;
    u64 duration_ns;
    KS_TASK;
    s32 result;
    KS_ENDS;
};

struct latency_t {
    char comm[16];
    u16 family;
    u16 remote_port;
    u8 remote[16];
    u32 slot;
};

BPF_HASH(begun, u64, struct connect_t, 65536);
BPF_RINGBUF_OUTPUT(connects, 8);
KS_HISTOGRAM(latency, struct latency_t);

static inline void count(struct connect_t *connect)
{
    struct latency_t latency_of = {.slot = ks_slot(connect->duration_ns)};

    if (KS_PARAM(by) == 1)
        __builtin_memcpy(latency_of.comm, connect->comm, sizeof(latency_of.comm));
    if (KS_PARAM(by) == 2) {
        latency_of.family = connect->family;
        latency_of.remote_port = connect->remote_port;
        __builtin_memcpy(latency_of.remote, connect->remote, sizeof(latency_of.remote));
    }
    KS_COUNT(latency, &latency_of);
}

/* inet_sock_set_state(sk, old, new): only SYN_SENT is set in the context of the connecting task. */
int on_state(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];
    struct connect_t connect = {.at_ns = bpf_ktime_get_ns()}, *found;
    u64 key = ctx[0];

    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    if (ctx[2] == TCP_SYN_SENT && KS_KEEP_CURRENT()) {
        KS_SET_TASK(&connect);
        begun.update(&key, &connect);
        return 0;
    }
    found = ctx[1] == TCP_SYN_SENT ? begun.lookup(&key) : 0;
    if (!found)
        return 0;
    found->duration_ns = connect.at_ns - found->at_ns;
    connect = *found;
    begun.delete(&key);
    KS_SET_ENDS(&connect, sk);
    connect.result = -sk->sk_err;
    if (!KS_HAS_PORT(&connect, KS_PARAM(port)))
        return 0;
    if (ctx[2] == TCP_ESTABLISHED)
        count(&connect);
    else if (!connect.result)
        return 0;
    if (connect.duration_ns >= KS_PARAM(min_ms) * 1000000)
        connects.ringbuf_output(&connect, sizeof(connect), 0);
    return 0;
}
