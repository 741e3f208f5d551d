/* Ended TCP connections: process, addresses, bytes and duration. Runs as tp_btf: sockets are read
 * directly. */

#define CONNECTED    1
#define ACCEPTED     2
#define FIN_RECEIVED 2 /* 1 << SOCK_DONE, include/net/sock.h */

struct birth_t {
    u64 at_ns;
    u32 pid;
    u32 role;
    char comm[16];
};

struct connection_t {
    u64 at_ns;
    u64 duration_ns;
    u64 sent_bytes;
    u64 received_bytes;
    u64 retransmitted_bytes;
    u32 pid;
    u32 uid;
    u32 role;
    s32 error;
    char comm[16];
    KS_ENDS;
};

BPF_HASH(born, u64, struct birth_t, 65536);
BPF_RINGBUF_OUTPUT(connections, 8);

static inline void set_owner(struct birth_t *birth)
{
    birth->pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&birth->comm, sizeof(birth->comm));
}

/* To the verifier a sock is no tcp_sock, so this is not read directly. A FIN counts as a received
 * byte, and is subtracted. */
static inline void read_transfer(struct connection_t *connection, struct sock *sk)
{
    struct tcp_sock *tcp = (struct tcp_sock *)sk;
    u64 sent = 0, again = 0, received = 0;

    bpf_probe_read_kernel(&sent, sizeof(sent), &tcp->bytes_sent);
    bpf_probe_read_kernel(&again, sizeof(again), &tcp->bytes_retrans);
    bpf_probe_read_kernel(&received, sizeof(received), &tcp->bytes_received);
    if (received && sk->__sk_common.skc_flags & FIN_RECEIVED)
        received -= 1;
    connection->sent_bytes = sent - again;
    connection->retransmitted_bytes = again;
    connection->received_bytes = received;
}

static inline void end(struct sock *sk, struct birth_t *birth)
{
    struct connection_t connection = {.at_ns = bpf_ktime_get_ns()};

    KS_SET_ENDS(&connection, sk);
    if (!KS_HAS_PORT(&connection, KS_PARAM(port)) ||
        !ks_keep(birth->pid, sk->sk_uid.val, birth->comm))
        return;
    read_transfer(&connection, sk);
    connection.duration_ns = connection.at_ns - birth->at_ns;
    connection.pid = birth->pid;
    connection.uid = sk->sk_uid.val;
    connection.role = birth->role;
    connection.error = sk->sk_err;
    __builtin_memcpy(connection.comm, birth->comm, sizeof(connection.comm));
    connections.ringbuf_output(&connection, sizeof(connection), 0);
}

/* inet_sock_set_state(sk, old, new). Only connect, close and exit run in the owner's context, so an
 * accepted socket gets its owner when it is closed. */
int on_state(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];
    u32 old = ctx[1], new = ctx[2];
    u64 key = ctx[0];
    struct birth_t *birth;

    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    if (new == TCP_SYN_SENT || (old == TCP_SYN_RECV && new == TCP_ESTABLISHED)) {
        struct birth_t fresh = {.at_ns = bpf_ktime_get_ns()};

        fresh.role = new == TCP_SYN_SENT ? CONNECTED : ACCEPTED;
        if (new == TCP_SYN_SENT)
            set_owner(&fresh);
        born.update(&key, &fresh);
        return 0;
    }
    birth = born.lookup(&key);
    if (!birth)
        return 0;
    if (birth->role == ACCEPTED && (new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK))
        set_owner(birth);
    if (new == TCP_CLOSE) {
        end(sk, birth);
        born.delete(&key);
    }
    return 0;
}
