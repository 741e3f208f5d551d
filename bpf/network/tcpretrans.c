/* TCP retransmissions and their cause. Runs as tp_btf: sockets are read directly. */

/* enum tcp_ca_state of include/uapi/linux/tcp.h goes up to 4 */
#define CAUSE_SYN    5
#define CAUSE_SYNACK 6

struct retransmit_t {
    u64 at_ns;
    u32 uid;
    u32 cause;
    u32 seq;
    u32 length;
    u32 retransmits;
    KS_ENDS;
};

BPF_RINGBUF_OUTPUT(retransmits, 8);

/* tcp_retransmit_skb(sk, skb): triggered by a timer or an acknowledgement, so there is no task to
 * show */
int on_retransmit(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];
    struct sk_buff *skb = (struct sk_buff *)ctx[1];
    struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
    struct retransmit_t again = {.at_ns = bpf_ktime_get_ns()};

    KS_SET_ENDS(&again, sk);
    if (!tcp || !KS_HAS_PORT(&again, KS_PARAM(port)))
        return 0;
    again.uid = sk->sk_uid.val;
    again.cause = tcp->inet_conn.icsk_ca_state;
    if (sk->__sk_common.skc_state == TCP_SYN_SENT)
        again.cause = CAUSE_SYN;
    again.seq = KS_READ((u32 *)&skb->cb); /* the first member of struct tcp_skb_cb */
    again.length = skb->len;
    again.retransmits = tcp->total_retrans;
    retransmits.ringbuf_output(&again, sizeof(again), 0);
    return 0;
}

/* tcp_retransmit_synack(sk, req): sk is the listener */
int on_synack(u64 *ctx)
{
    struct sock *sk = (struct sock *)ctx[0];
    struct request_sock *request = (struct request_sock *)ctx[1];
    struct tcp_request_sock *tcp = (struct tcp_request_sock *)request;
    struct retransmit_t again = {.at_ns = bpf_ktime_get_ns(), .cause = CAUSE_SYNACK};

    KS_SET_ENDS(&again, (struct sock *)request);
    if (!KS_HAS_PORT(&again, KS_PARAM(port)))
        return 0;
    again.uid = sk->sk_uid.val;
    again.seq = KS_READ(&tcp->snt_isn);
    again.retransmits = request->num_retrans + 1;
    retransmits.ringbuf_output(&again, sizeof(again), 0);
    return 0;
}
