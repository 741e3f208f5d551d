/* Open sockets, as in ss, with the processes that hold them. Runs as iterators: first over all open
 * files, for the holders, then over the sockets. */

struct holder_t {
    u32 pid;
    char comm[16];
};

struct socket_t {
    u64 at_ns;
    u64 inode;
    u32 pid;
    u32 uid;
    u32 protocol;
    u32 state;
    u32 receive_queue;
    u32 send_queue;
    char comm[16];
    KS_ENDS;
};

#define PATH_BYTES 128 /* a power of two above the 108 of struct sockaddr_un */

struct local_t {
    u64 at_ns;
    u64 inode;
    u32 pid;
    u32 uid;
    u32 type;
    u32 state;
    u32 waiting;
    u32 send_queue;
    char comm[16];
    char path[PATH_BYTES];
};

BPF_HASH(holders, u64, struct holder_t, 65536);
BPF_RINGBUF_OUTPUT(sockets, 8);
BPF_RINGBUF_OUTPUT(unix_sockets, 8);

/* Identifies a socket across time, because its address is used again. */
static inline u64 inode_of(struct socket *socket)
{
    return socket ? ks_u64(&((struct socket_alloc *)socket)->vfs_inode.i_ino) : 0;
}

/* bpf_iter__task_file: meta, task, fd, file */
int on_file(u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[1];
    struct file *file = (struct file *)ctx[3];
    struct holder_t holder = {};
    struct socket *socket;
    struct sock *sk;
    u64 inode;

    if (!task || !file)
        return 0;
    socket = bpf_sock_from_file(file);
    if (!socket)
        return 0;
    sk = ks_pointer(&socket->sk);
    if ((KS_READ(&sk->__sk_common.skc_family) == AF_UNIX) != KS_PARAM(family))
        return 0;
    holder.pid = task->tgid;
    bpf_probe_read_kernel_str(holder.comm, sizeof(holder.comm), task->comm);
    inode = inode_of(socket);
    holders.update(&inode, &holder);
    return 0;
}

static inline void set_holder(u32 *pid, char *comm, u64 inode)
{
    struct holder_t *holder = holders.lookup(&inode);

    if (holder) {
        *pid = holder->pid;
        __builtin_memcpy(comm, holder->comm, sizeof(holder->comm));
    }
}

/* As tcp_diag_get_info, net/ipv4/tcp_diag.c. */
static inline void set_tcp_queues(struct socket_t *found, struct tcp_sock *tcp, struct sock *sk)
{
    if (found->state == TCP_LISTEN) {
        found->receive_queue = ks_u32(&sk->sk_ack_backlog);
        found->send_queue = ks_u32(&sk->sk_max_ack_backlog);
        return;
    }
    found->receive_queue = ks_u32(&tcp->rcv_nxt) - ks_u32(&tcp->copied_seq);
    if ((s32)found->receive_queue < 0)
        found->receive_queue = 0;
    found->send_queue = ks_u32(&tcp->write_seq) - ks_u32(&tcp->snd_una);
}

static inline void put(struct socket_t *found)
{
    u64 state = KS_PARAM(state);

    if (state == 1 && found->state != TCP_LISTEN)
        return;
    if (state == 2 && found->state != TCP_ESTABLISHED)
        return;
    if (KS_HAS_PORT(found, KS_PARAM(port)) && ks_keep(found->pid, found->uid, found->comm))
        sockets.ringbuf_output(found, sizeof(*found), 0);
}

/* bpf_iter__tcp: meta, sk_common, uid. An entry in TIME_WAIT or in the handshake is smaller than a
 * sock and belongs to no process. */
int on_tcp(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[1];
    struct socket_t found = {.at_ns = bpf_ktime_get_ns(), .protocol = IPPROTO_TCP, .uid = ctx[2]};

    if (!sk)
        return 0;
    found.state = KS_READ((u8 *)&sk->__sk_common.skc_state);
    KS_SET_ENDS(&found, sk);
    if (found.state != TCP_TIME_WAIT && found.state != TCP_NEW_SYN_RECV) {
        set_tcp_queues(&found, (struct tcp_sock *)sk, sk);
        found.inode = inode_of(ks_pointer(&sk->sk_socket));
        set_holder(&found.pid, found.comm, found.inode);
    }
    put(&found);
    return 0;
}

/* bpf_iter__udp: meta, udp_sk, uid */
int on_udp(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[1];
    struct socket_t found = {.at_ns = bpf_ktime_get_ns(), .protocol = IPPROTO_UDP, .uid = ctx[2]};

    if (!sk)
        return 0;
    found.state = KS_READ((u8 *)&sk->__sk_common.skc_state);
    found.receive_queue = ks_u32(&sk->sk_backlog.rmem_alloc);
    found.send_queue = ks_u32(&sk->sk_wmem_alloc) - 1; /* 1 is the socket's own */
    KS_SET_ENDS(&found, sk);
    found.inode = inode_of(ks_pointer(&sk->sk_socket));
    set_holder(&found.pid, found.comm, found.inode);
    put(&found);
    return 0;
}

/* The path, with an @ for the NUL that starts the name of a socket outside the file system. */
static inline void set_path(struct local_t *found, struct unix_sock *unix_sk)
{
    struct unix_address *address = ks_pointer(&unix_sk->addr);
    struct sockaddr_un *name = address->name;
    u32 length;

    if (!address)
        return;
    length = (ks_u32(&address->len) - offsetof(struct sockaddr_un, sun_path)) & (PATH_BYTES - 1);
    bpf_probe_read_kernel(found->path, length, name->sun_path);
    if (length && !found->path[0])
        found->path[0] = '@';
}

/* bpf_iter__unix: meta, unix_sk, uid */
int on_unix(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[1];
    struct local_t found = {.at_ns = bpf_ktime_get_ns(), .uid = ctx[2]};
    u64 state = KS_PARAM(state);

    if (!sk)
        return 0;
    found.state = KS_READ((u8 *)&sk->__sk_common.skc_state);
    if ((state == 1 && found.state != TCP_LISTEN) || (state == 2 && found.state != TCP_ESTABLISHED))
        return 0;
    found.type = KS_READ(&sk->sk_type);
    found.waiting = ks_u32(&sk->sk_receive_queue.qlen);
    found.send_queue = ks_u32(&sk->sk_wmem_alloc) - 1;
    found.inode = inode_of(ks_pointer(&sk->sk_socket));
    set_holder(&found.pid, found.comm, found.inode);
    set_path(&found, (struct unix_sock *)sk);
    if (ks_keep(found.pid, found.uid, found.comm))
        unix_sockets.ringbuf_output(&found, sizeof(found), 0);
    return 0;
}
