/* TCP sockets that start to listen: process, address, port and queue length. */

struct listen_t {
    u64 at_ns;
    KS_TASK;
    s32 result;
    s32 backlog;
    u32 queue;
    u16 family;
    u16 port; /* network order */
    u8 address[16];
};

struct begun_t {
    u64 sk;
    s32 backlog;
};

BPF_HASH(calling, u32, struct begun_t);
BPF_RINGBUF_OUTPUT(listens, 8);

/* listen(fd, backlog) */
int on_enter(struct ks_sys_enter *args)
{
    struct begun_t begun = {.backlog = args->args[1]};
    u32 tid = bpf_get_current_pid_tgid();

    calling.update(&tid, &begun);
    return 0;
}

/* inet_sock_set_state(sk, old, new), within the call, before the kernel knows whether the port is
 * free, and which one it is if the kernel chooses it */
int on_state(u64 *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct begun_t *begun;

    if (ctx[2] != TCP_LISTEN)
        return 0;
    begun = calling.lookup(&tid);
    if (begun)
        begun->sk = ctx[0];
    return 0;
}

static inline void read_end(struct listen_t *listen, struct sock *sk)
{
    struct inet_sock *inet = (struct inet_sock *)sk;

    bpf_probe_read_kernel(&listen->family, sizeof(u16), &sk->__sk_common.skc_family);
    bpf_probe_read_kernel(&listen->queue, sizeof(u32), &sk->sk_max_ack_backlog);
    bpf_probe_read_kernel(&listen->port, sizeof(u16), &inet->inet_sport);
    if (listen->family == AF_INET6)
        bpf_probe_read_kernel(listen->address, 16, &sk->__sk_common.skc_v6_rcv_saddr);
    else
        bpf_probe_read_kernel(listen->address, 4, &sk->__sk_common.skc_rcv_saddr);
}

int on_exit(struct ks_sys_exit *args)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct begun_t *begun = calling.lookup(&tid);
    struct listen_t listen = {.at_ns = bpf_ktime_get_ns()};

    if (!begun)
        return 0;
    if (begun->sk) {
        listen.result = args->result;
        listen.backlog = begun->backlog;
        read_end(&listen, (struct sock *)begun->sk);
        KS_SET_TASK(&listen);
        if (!KS_PARAM(port) || KS_PARAM(port) == bpf_ntohs(listen.port))
            listens.ringbuf_output(&listen, sizeof(listen), 0);
    }
    calling.delete(&tid);
    return 0;
}
