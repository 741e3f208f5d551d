/* TCP socket state changes, with the time spent in the previous state. Runs as tp_btf: sockets are
 * read directly. */

struct socket_t {
    u64 since_ns;
    u32 pid;
    char comm[16];
};

struct change_t {
    u64 at_ns;
    u64 duration_ns;
    u32 pid;
    u32 uid;
    char comm[16];
    u32 from;
    u32 to;
    KS_ENDS;
};

BPF_HASH(sockets, u64, struct socket_t, 65536);
BPF_RINGBUF_OUTPUT(changes, 8);

/* These states are set by the owner's own calls: listen, connect, shutdown and close. */
static inline bool in_owners_call(u32 state)
{
    return state == TCP_LISTEN || state == TCP_SYN_SENT || state == TCP_FIN_WAIT1 ||
           state == TCP_LAST_ACK;
}

static inline void report(struct change_t *change, struct socket_t *socket, struct sock *sk)
{
    KS_SET_ENDS(change, sk);
    if (!KS_HAS_PORT(change, KS_PARAM(port)))
        return;
    change->uid = sk->sk_uid.val;
    if (!ks_keep(socket->pid, change->uid, socket->comm))
        return;
    if (socket->since_ns)
        change->duration_ns = change->at_ns - socket->since_ns;
    change->pid = socket->pid;
    __builtin_memcpy(change->comm, socket->comm, sizeof(change->comm));
    changes.ringbuf_output(change, sizeof(*change), 0);
}

/* inet_sock_set_state(sk, old, new) */
int on_state(u64 *ctx)
{
    struct change_t change = {.at_ns = bpf_ktime_get_ns(), .from = ctx[1], .to = ctx[2]};
    struct sock *sk = (struct sock *)ctx[0];
    struct socket_t socket = {}, *known;
    u64 key = ctx[0];

    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    known = sockets.lookup(&key);
    if (known)
        socket = *known;
    if (in_owners_call(change.to)) {
        socket.pid = bpf_get_current_pid_tgid() >> 32;
        bpf_get_current_comm(&socket.comm, sizeof(socket.comm));
    }
    report(&change, &socket, sk);
    socket.since_ns = change.at_ns;
    if (change.to == TCP_CLOSE)
        sockets.delete(&key);
    else
        sockets.update(&key, &socket);
    return 0;
}
