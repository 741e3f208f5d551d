/* Dropped TCP packets: addresses, reason, and place in the kernel. Runs as tp_btf: packets are read
 * directly. */

#define LETTERS 0x4345554150525346 /* "FSRPAUEC" */

struct drop_t {
    u64 at_ns;
    u32 reason;
    s32 kernel_stack;
    u32 seq;
    u32 length;
    u16 family;
    u16 source_port;
    u16 destination_port;
    u8 source[16];
    u8 destination[16];
    char flags[8];
};

/* The part of a TCP header that is needed, as it is in the packet. */
struct tcp_t {
    u16 source;
    u16 destination;
    u32 seq;
    u32 ack;
    u8 words; /* of the header, in the upper half */
    u8 flags;
};

BPF_STACK_TRACE(stacks, 4096);
BPF_RINGBUF_OUTPUT(drops, 8);

/* Fills in what the IP header contains; returns where the TCP header is, 0 if there is none. */
static inline void *read_ip(struct drop_t *drop, void *header)
{
    u8 first = KS_READ((u8 *)header);

    if (first >> 4 == 4 && KS_READ((u8 *)header + 9) == IPPROTO_TCP) {
        drop->family = AF_INET;
        bpf_probe_read_kernel(drop->source, 4, header + 12);
        bpf_probe_read_kernel(drop->destination, 4, header + 16);
        drop->length = bpf_ntohs(KS_READ((u16 *)(header + 2))) - (first & 15) * 4;
        return header + (first & 15) * 4;
    }
    if (first >> 4 == 6 && KS_READ((u8 *)header + 6) == IPPROTO_TCP) {
        drop->family = KS_IPV6;
        bpf_probe_read_kernel(drop->source, 16, header + 8);
        bpf_probe_read_kernel(drop->destination, 16, header + 24);
        drop->length = bpf_ntohs(KS_READ((u16 *)(header + 4)));
        return header + 40;
    }
    return 0;
}

static inline void read_tcp(struct drop_t *drop, void *header)
{
    struct tcp_t tcp = {};
    u64 letters = LETTERS, text = 0;
    u32 end = 0;

    bpf_probe_read_kernel(&tcp, sizeof(tcp), header);
    drop->source_port = bpf_ntohs(tcp.source);
    drop->destination_port = bpf_ntohs(tcp.destination);
    drop->seq = bpf_ntohl(tcp.seq);
    drop->length -= (tcp.words >> 4) * 4;
    for (u32 i = 0; i < 8; i++) {
        if (tcp.flags & 1 << i) {
            text |= (letters >> 8 * i & 0xff) << end;
            end += 8;
        }
    }
    __builtin_memcpy(drop->flags, &text, sizeof(drop->flags));
}

/* kfree_skb(skb, location, reason) */
int on_drop(u64 *ctx)
{
    struct sk_buff *skb = (struct sk_buff *)ctx[0];
    struct drop_t drop = {.at_ns = bpf_ktime_get_ns(), .reason = ctx[2]};
    u64 port = KS_PARAM(port);
    void *header;

    if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6))
        return 0;
    header = read_ip(&drop, skb->head + skb->network_header);
    if (!header)
        return 0;
    read_tcp(&drop, header);
    if (port && drop.source_port != port && drop.destination_port != port)
        return 0;
    drop.kernel_stack = stacks.get_stackid(ctx, 0);
    drops.ringbuf_output(&drop, sizeof(drop), 0);
    return 0;
}
