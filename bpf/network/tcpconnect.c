/* Outgoing TCP connections: who connects where, and with what result. The states run as tp_btf:
 * sockets are read directly. */

struct connect_t {
    u64 at_ns;
    u64 duration_ns;
    KS_TASK;
    s32 result;
    bool established;
    KS_ENDS;
};

BPF_HASH(entered, u32, struct ks_call);
BPF_HASH(pending, u64, struct connect_t, 65536);
BPF_RINGBUF_OUTPUT(connects, 8);

static inline void report(struct connect_t *connect)
{
    if (!KS_HAS_PORT(connect, KS_PARAM(port)) || (KS_PARAM(failed) && connect->established))
        return;
    connect->duration_ns = bpf_ktime_get_ns() - connect->at_ns;
    connects.ringbuf_output(connect, sizeof(*connect), 0);
}

static inline void begin(u64 key)
{
    struct connect_t begun = {.at_ns = bpf_ktime_get_ns()};
    struct ks_call *call;
    u32 tid;

    KS_SET_TASK(&begun);
    tid = begun.tid;
    pending.update(&key, &begun);
    call = entered.lookup(&tid);
    if (call)
        call->at_ns = 0; /* later events are visible in the socket's states */
}

static inline void end(u64 key, struct sock *sk, bool established)
{
    struct connect_t *found = pending.lookup(&key);
    u32 tid = bpf_get_current_pid_tgid();
    struct ks_call *call = entered.lookup(&tid);

    if (!found)
        return;
    struct connect_t ended = *found;
    pending.delete(&key);
    ended.established = established;
    ended.result = -sk->sk_err;
    if (!established && !ended.result && call && !call->at_ns) {
        call->at_ns = ended.at_ns; /* given up before a packet left: the call returns the reason */
        return;
    }
    KS_SET_ENDS(&ended, sk);
    report(&ended);
}

/* inet_sock_set_state(sk, old, new): SYN_SENT starts in connect(2); the rest happens with a packet,
 * a timer or the socket's close. */
int on_state(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];
    u32 old = ctx[1], new = ctx[2];

    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    if (new == TCP_SYN_SENT && KS_KEEP_CURRENT())
        begin(ctx[0]);
    else if (old == TCP_SYN_SENT)
        end(ctx[0], sk, new == TCP_ESTABLISHED);
    return 0;
}

int on_enter(struct ks_sys_enter *entry)
{
    if (KS_KEEP_CURRENT())
        KS_ENTER(entered, entry, 3);
    return 0;
}

/* Calls that fail before a packet leaves: no route, no port, not allowed. */
int on_exit(struct ks_sys_exit *leaving)
{
    struct connect_t connect = {.result = leaving->result};
    struct ks_address asked = {};
    struct ks_call call;
    struct sock *sk;

    if (!KS_LEAVE(entered, &call) || !call.at_ns || leaving->result >= 0)
        return 0;
    if (connect.result == -EINPROGRESS || connect.result == -EALREADY || connect.result == -EISCONN)
        return 0;
    sk = ks_sock(call.args[0]);
    if (!sk || KS_READ(&sk->sk_protocol) != IPPROTO_TCP)
        return 0;
    connect.at_ns = call.at_ns;
    KS_SET_TASK(&connect);
    KS_SET_ENDS(&connect, sk);
    bpf_probe_read_user(&asked, sizeof(asked), (void *)call.args[1]);
    connect.family = asked.family;
    connect.remote_port = bpf_ntohs(asked.port);
    KS_SET_ADDRESS(connect.remote, &asked);
    report(&connect);
    return 0;
}
