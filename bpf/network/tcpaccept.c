/* Accepted TCP connections: which process, from where, and how long they waited for it. */

struct accept_t {
    u64 at_ns;
    u64 waited_ns;
    KS_TASK;
    s32 fd;
    u32 queued;
    u32 backlog;
    KS_ENDS;
};

BPF_HASH(ready, u64, u64, 65536);
BPF_HASH(entered, u32, struct ks_call);
BPF_RINGBUF_OUTPUT(accepts, 8);

/* inet_sock_set_state(sk, old, new): the end of the handshake arrives with a packet. */
int on_state(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];
    u64 key = ctx[0];

    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    if (ctx[1] == TCP_SYN_RECV && ctx[2] == TCP_ESTABLISHED)
        KS_BEGIN(ready, &key);
    else if (ctx[2] == TCP_CLOSE)
        ready.delete(&key);
    return 0;
}

int on_enter(struct ks_sys_enter *entry)
{
    if (KS_KEEP_CURRENT())
        KS_ENTER(entered, entry, 1);
    return 0;
}

int on_exit(struct ks_sys_exit *leaving)
{
    struct accept_t accept = {.at_ns = bpf_ktime_get_ns(), .fd = leaving->result};
    struct sock *sk, *listener;
    struct ks_call call;
    u64 key;

    if (!KS_LEAVE(entered, &call) || leaving->result < 0)
        return 0;
    sk = ks_sock(accept.fd);
    if (!sk || KS_READ(&sk->sk_protocol) != IPPROTO_TCP)
        return 0;
    key = (u64)sk;
    accept.waited_ns = KS_END(ready, &key);
    KS_SET_ENDS(&accept, sk);
    if (!KS_HAS_PORT(&accept, KS_PARAM(port)) || accept.waited_ns < KS_PARAM(min_ms) * 1000000)
        return 0;
    KS_SET_TASK(&accept);
    listener = ks_sock(call.args[0]);
    accept.queued = KS_READ(&listener->sk_ack_backlog);
    accept.backlog = KS_READ(&listener->sk_max_ack_backlog);
    accepts.ringbuf_output(&accept, sizeof(accept), 0);
    return 0;
}
