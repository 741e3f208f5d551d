/* Bytes that programs sent and received over TCP, by process and connection.
 * Runs as tp_btf or fexit: sockets are read directly. */

struct connection_t {
    u32 pid;
    char comm[16];
    KS_ENDS;
};

struct transfer_t {
    u64 sent;
    u64 received;
    u64 sends;
    u64 receives;
};

BPF_HASH(connections, struct connection_t, struct transfer_t);
BPF_ARRAY(by_function, u64, 1);

static inline void set_key(struct connection_t *key, struct connection_t *connection)
{
    if (KS_PARAM(by) == 1) {
        key->pid = connection->pid;
        __builtin_memcpy(key->comm, connection->comm, sizeof(key->comm));
    } else if (KS_PARAM(by) == 2) {
        key->family = connection->family;
        __builtin_memcpy(key->remote, connection->remote, sizeof(key->remote));
    } else {
        *key = *connection;
    }
}

static inline int add(struct sock *sk, s32 result, bool sent)
{
    struct transfer_t zero = {}, *transfer;
    struct connection_t connection = {}, key = {};

    if (result <= 0 || sk->sk_protocol != IPPROTO_TCP)
        return 0;
    KS_SET_ENDS(&connection, sk);
    if (!KS_HAS_PORT(&connection, KS_PARAM(port)))
        return 0;
    connection.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&connection.comm, sizeof(connection.comm));
    set_key(&key, &connection);
    transfer = connections.lookup_or_try_init(&key, &zero);
    if (!transfer)
        return 0;
    lock_xadd(sent ? &transfer->sent : &transfer->received, result);
    lock_xadd(sent ? &transfer->sends : &transfer->receives, 1);
    return 0;
}

/* sock_send_length(sk, result, flags) */
int on_send_length(u64 *ctx)
{
    return KS_IS_BY_FUNCTION(by_function) ? 0 : add((struct sock *)ctx[0], ctx[1], true);
}

/* sock_recv_length(sk, result, flags) */
int on_recv_length(u64 *ctx)
{
    return KS_IS_BY_FUNCTION(by_function) || ctx[2] & KS_PEEK
               ? 0
               : add((struct sock *)ctx[0], ctx[1], false);
}

/* tcp_sendmsg(sk, message, size) = result */
int on_sendmsg(u64 *ctx)
{
    KS_BY_FUNCTION(by_function);
    return add((struct sock *)ctx[0], ctx[3], true);
}

/* tcp_recvmsg(sk, message, size, flags, address_size) = result */
int on_recvmsg(u64 *ctx)
{
    KS_BY_FUNCTION(by_function);
    return ctx[3] & KS_PEEK ? 0 : add((struct sock *)ctx[0], ctx[5], false);
}
