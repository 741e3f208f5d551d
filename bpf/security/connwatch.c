/* Outgoing TCP connections to unexpected ports. Runs as tp_btf: sockets are read directly. */

struct attempt_t {
    u64 at_ns;
    u8 address[16]; /* first, to be read four bytes at a time */
    KS_TASK;
    u16 family;
    u16 port; /* network order */
    bool public;
};

BPF_RINGBUF_OUTPUT(attempts, 8);

/* Whether the text ALLOW, such as "22,80,8000-8100", contains the port. */
static inline bool allowed(u32 port)
{
    const char text[] = ALLOW ",";
    u32 number = 0, low = 0;
    bool range = false, found = false;

#pragma unroll
    for (u32 i = 0; i < sizeof(text) - 1; i++) {
        char letter = text[i];

        if (letter >= '0' && letter <= '9') {
            number = number * 10 + (letter - '0');
            continue;
        }
        if (letter == '-') {
            low = number;
            range = true;
        } else if (letter == ',') {
            found |= port >= (range ? low : number) && port <= number;
            range = false;
        }
        number = 0;
    }
    return found;
}

/* first: an IPv4 address's bytes, or the first of an IPv6 one */
static inline bool is_private_v4(const u8 *first)
{
    return first[0] == 127 || first[0] == 10 || first[0] == 0 ||
           (first[0] == 172 && (first[1] & 0xf0) == 16) || (first[0] == 192 && first[1] == 168) ||
           (first[0] == 169 && first[1] == 254) || (first[0] == 100 && (first[1] & 0xc0) == 64);
}

/* IPv4 within IPv6 is ::ffff:a.b.c.d. */
static inline bool is_mapped(const u8 *address)
{
    const u32 *words = (const u32 *)address;

    return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static inline bool is_loopback(const u8 *address, u16 family)
{
    const u32 *words = (const u32 *)address;

    if (family == AF_INET)
        return address[0] == 127;
    if (is_mapped(address))
        return address[12] == 127;
    return !words[0] && !words[1] && !words[2] && words[3] == bpf_htonl(1);
}

static inline bool is_public(const u8 *address, u16 family)
{
    if (family == AF_INET)
        return !is_private_v4(address);
    if (is_mapped(address))
        return !is_private_v4(address + 12);
    return !is_loopback(address, family) && (address[0] & 0xfe) != 0xfc &&
           !(address[0] == 0xfe && (address[1] & 0xc0) == 0x80);
}

/* inet_sock_set_state(sk, old, new), in the context of the task that connects */
int on_state(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];
    struct attempt_t attempt = {.at_ns = bpf_ktime_get_ns()};

    if (ctx[2] != TCP_SYN_SENT || sk->sk_protocol != IPPROTO_TCP)
        return 0;
    attempt.port = sk->__sk_common.skc_dport;
    attempt.family = sk->__sk_common.skc_family;
    if (allowed(bpf_ntohs(attempt.port)))
        return 0;
    if (attempt.family == AF_INET6)
        bpf_probe_read_kernel(attempt.address, 16, &sk->__sk_common.skc_v6_daddr);
    else
        *(u32 *)attempt.address = sk->__sk_common.skc_daddr;
    attempt.public = is_public(attempt.address, attempt.family);
    if (KS_PARAM(public) && !attempt.public)
        return 0;
    if (!KS_PARAM(loopback) && is_loopback(attempt.address, attempt.family))
        return 0;
    KS_SET_TASK(&attempt);
    attempts.ringbuf_output(&attempt, sizeof(attempt), 0);
    return 0;
}
