/* Datagrams that programs sent and received over UDP, by process and socket.
 * Runs as tp_btf or fexit: sockets are read directly. */

struct socket_t {
    u32 pid;
    char comm[16];
    KS_ENDS;
};

struct datagrams_t {
    u64 sent_packets;
    u64 sent_bytes;
    u64 received_packets;
    u64 received_bytes;
};

BPF_HASH(sockets, struct socket_t, struct datagrams_t);
BPF_ARRAY(by_function, u64, 1);

static inline struct datagrams_t *of_socket(struct sock *sk)
{
    struct datagrams_t zero = {};
    struct socket_t key = {};

    KS_SET_ENDS(&key, sk);
    if (!KS_HAS_PORT(&key, KS_PARAM(port)))
        return 0;
    if (KS_PARAM(by))
        __builtin_memset(&key, 0, sizeof(key));
    key.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&key.comm, sizeof(key.comm));
    return sockets.lookup_or_try_init(&key, &zero);
}

static inline int sent(struct sock *sk, s32 result)
{
    struct datagrams_t *datagrams;

    if (result < 0 || sk->sk_protocol != IPPROTO_UDP)
        return 0;
    datagrams = of_socket(sk);
    if (datagrams) {
        lock_xadd(&datagrams->sent_packets, 1);
        lock_xadd(&datagrams->sent_bytes, result);
    }
    return 0;
}

static inline int received(struct sock *sk, s32 result, u32 flags)
{
    struct datagrams_t *datagrams;

    if (result < 0 || flags & KS_PEEK || sk->sk_protocol != IPPROTO_UDP)
        return 0;
    datagrams = of_socket(sk);
    if (datagrams) {
        lock_xadd(&datagrams->received_packets, 1);
        lock_xadd(&datagrams->received_bytes, result);
    }
    return 0;
}

/* sock_send_length(sk, result, flags) */
int on_send_length(u64 *ctx)
{
    return KS_IS_BY_FUNCTION(by_function) ? 0 : sent((struct sock *)ctx[0], ctx[1]);
}

/* sock_recv_length(sk, result, flags) */
int on_recv_length(u64 *ctx)
{
    return KS_IS_BY_FUNCTION(by_function) ? 0 : received((struct sock *)ctx[0], ctx[1], ctx[2]);
}

/* udp_sendmsg(sk, message, size) = result. An IPv6 socket gets here from udpv6_sendmsg. */
int on_sendmsg(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];

    KS_BY_FUNCTION(by_function);
    return sk->__sk_common.skc_family == KS_IPV6 ? 0 : sent(sk, ctx[3]);
}

/* udpv6_sendmsg(sk, message, size) = result */
int on_sendmsg_v6(u64 *ctx)
{
    KS_BY_FUNCTION(by_function);
    return sent((struct sock *)ctx[0], ctx[3]);
}

/* udp_recvmsg(sk, message, size, flags, address_size) = result, and udpv6_recvmsg */
int on_recvmsg(u64 *ctx)
{
    KS_BY_FUNCTION(by_function);
    return received((struct sock *)ctx[0], ctx[5], ctx[3]);
}
