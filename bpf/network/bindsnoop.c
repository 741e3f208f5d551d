/* Sockets bound to addresses and ports: who, with which options and result. */

struct bind_t {
    u64 at_ns;
    KS_TASK;
    s32 result;
    u32 protocol;
    u32 interface;
    u16 family;
    u16 port;
    u16 bound_port;
    bool reuse_address;
    bool reuse_port;
    bool ipv6_only;
    u8 address[16];
};

BPF_HASH(entered, u32, struct ks_call);
BPF_RINGBUF_OUTPUT(binds, 8);

int on_enter(struct ks_sys_enter *entry)
{
    KS_ENTER(entered, entry, 3);
    return 0;
}

static inline void set_socket(struct bind_t *bind, struct sock *sk, struct sock_common *common)
{
    bind->protocol = KS_READ(&sk->sk_protocol);
    bind->interface = common->skc_bound_dev_if;
    bind->reuse_address = common->skc_reuse;
    bind->reuse_port = common->skc_reuseport;
    bind->ipv6_only = common->skc_ipv6only;
    if (!bind->result)
        bind->bound_port = common->skc_num;
}

int on_exit(struct ks_sys_exit *leaving)
{
    struct bind_t bind = {.at_ns = bpf_ktime_get_ns(), .result = leaving->result};
    struct ks_address asked = {};
    struct sock_common common = {};
    struct ks_call call;
    struct sock *sk;

    if (!KS_LEAVE(entered, &call) || (KS_PARAM(failed) && !bind.result))
        return 0;
    sk = ks_sock(call.args[0]);
    bpf_probe_read_kernel(&common, sizeof(common), &sk->__sk_common);
    if (common.skc_family != AF_INET && common.skc_family != KS_IPV6)
        return 0;
    set_socket(&bind, sk, &common);
    bpf_probe_read_user(&asked, sizeof(asked), (void *)call.args[1]);
    bind.family = asked.family;
    bind.port = bpf_ntohs(asked.port);
    KS_SET_ADDRESS(bind.address, &asked);
    if (KS_PARAM(port) && KS_PARAM(port) != bind.port && KS_PARAM(port) != bind.bound_port)
        return 0;
    KS_SET_TASK(&bind);
    binds.ringbuf_output(&bind, sizeof(bind), 0);
    return 0;
}
