/* Packets and bytes arriving at an interface, by protocol and destination port. Runs as XDP: the
 * packet is read where the driver put it. */

#define VLAN_BYTES 4
#define ETHERTYPE  0x10000 /* a protocol above this is no IP protocol but an Ethernet type */

struct kind_t {
    u32 protocol;
    u32 port;
};

struct traffic_t {
    u64 packets;
    u64 bytes;
};

BPF_HASH(traffic, struct kind_t, struct traffic_t, 65536);

/* Both TCP and UDP start with the ports. */
static inline u32 destination_port(u16 *ports, void *end)
{
    return (void *)(ports + 2) > end ? 0 : bpf_ntohs(ports[1]);
}

static inline bool has_ports(u32 protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static inline void read_ipv4(struct kind_t *kind, struct iphdr *ip, void *end)
{
    if ((void *)(ip + 1) > end)
        return;
    kind->protocol = ip->protocol;
    if (has_ports(ip->protocol) && !(ip->frag_off & bpf_htons(0x1fff)))
        kind->port = destination_port((void *)ip + ip->ihl * 4, end);
}

static inline void read_ipv6(struct kind_t *kind, struct ipv6hdr *ip, void *end)
{
    if ((void *)(ip + 1) > end)
        return;
    kind->protocol = ip->nexthdr;
    if (has_ports(ip->nexthdr))
        kind->port = destination_port((void *)(ip + 1), end);
}

static inline void read_packet(struct kind_t *kind, void *data, void *end)
{
    u16 *type = data + offsetof(struct ethhdr, h_proto);

    if ((void *)(type + 1) > end)
        return;
    if (*type == bpf_htons(ETH_P_8021Q) || *type == bpf_htons(ETH_P_8021AD)) {
        type = (void *)type + VLAN_BYTES;
        if ((void *)(type + 1) > end)
            return;
    }
    kind->protocol = ETHERTYPE | bpf_ntohs(*type);
    if (*type == bpf_htons(ETH_P_IP))
        read_ipv4(kind, (struct iphdr *)(type + 1), end);
    else if (*type == bpf_htons(ETH_P_IPV6))
        read_ipv6(kind, (struct ipv6hdr *)(type + 1), end);
}

int on_packet(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct traffic_t zero = {}, *seen;
    struct kind_t kind = {.protocol = ETHERTYPE};
    u64 length = end - data;

    read_packet(&kind, data, end);
    if (KS_PARAM(port) && kind.port != KS_PARAM(port))
        return XDP_PASS;
    if (KS_PARAM(by))
        kind.port = 0;
    seen = traffic.lookup_or_try_init(&kind, &zero);
    if (seen) {
        lock_xadd(&seen->packets, 1);
        lock_xadd(&seen->bytes, length);
    }
    return XDP_PASS;
}
