/* Dropped packets: reason, protocol, and place in the kernel. Runs as tp_btf: packets are read
 * directly. */

#define ETHERTYPE 0x10000 /* a protocol above this is no IP protocol but an Ethernet type */

struct drop_t {
    u32 reason;
    u32 protocol;
    s32 kernel_stack;
};

BPF_STACK_TRACE(stacks, 4096);
BPF_HASH(drops, struct drop_t, u64);

/* A packet that is dropped on its way out may not have headers yet. */
static inline u32 protocol_of(struct sk_buff *skb)
{
    void *header = skb->head + skb->network_header;
    u8 version = KS_READ((u8 *)header) >> 4;

    if (skb->protocol == bpf_htons(ETH_P_IP))
        return version == 4 ? KS_READ((u8 *)header + 9) : IPPROTO_IP;
    if (skb->protocol == bpf_htons(ETH_P_IPV6))
        return version == 6 ? KS_READ((u8 *)header + 6) : IPPROTO_IP;
    return ETHERTYPE | bpf_ntohs(skb->protocol);
}

/* kfree_skb(skb, location, reason) */
int on_drop(u64 *ctx)
{
    struct drop_t drop = {.reason = ctx[2], .kernel_stack = -1};
    u64 wanted = KS_PARAM(protocol);

    drop.protocol = protocol_of((struct sk_buff *)ctx[0]);
    if (wanted == 1 && drop.protocol != IPPROTO_TCP)
        return 0;
    if (wanted == 2 && drop.protocol != IPPROTO_UDP)
        return 0;
    if (wanted == 3 && drop.protocol != IPPROTO_ICMP && drop.protocol != IPPROTO_ICMPV6)
        return 0;
    if (KS_PARAM(by) == 0)
        drop.kernel_stack = stacks.get_stackid(ctx, 0);
    KS_COUNT(drops, &drop);
    return 0;
}
