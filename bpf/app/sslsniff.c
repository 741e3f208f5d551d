/* Reads and writes through OpenSSL, before encryption and after decryption: size, process, and on
 * request the first bytes. */

#define DIRECTION_READ  1
#define DIRECTION_WRITE 2
#define CONTENT_BYTES   240

struct call_t {
    u64 at_ns;
    u64 ssl;
    u64 data;
    u64 size; /* where SSL_read_ex and SSL_write_ex put it */
};

struct transfer_t {
    u64 at_ns;
    u64 duration_ns;
    KS_TASK;
    u32 direction;
    u64 ssl;
    u64 bytes;
    char content[CONTENT_BYTES]; /* last: left out unless requested */
};

struct slot_t {
    char comm[16];
    u32 direction;
    u32 slot;
};

BPF_HASH(entered, u32, struct call_t);
BPF_RINGBUF_OUTPUT(transfers, 16);
KS_HISTOGRAM(sizes, struct slot_t);

int on_call(struct pt_regs *ctx)
{
    struct call_t call = {.at_ns = bpf_ktime_get_ns()};
    u32 tid = bpf_get_current_pid_tgid();

    call.ssl = PT_REGS_PARM1(ctx);
    call.data = PT_REGS_PARM2(ctx);
    call.size = PT_REGS_PARM4(ctx);
    entered.update(&tid, &call);
    return 0;
}

static inline void report(struct transfer_t *transfer, u64 data)
{
    u32 size = KS_PARAM(content) < CONTENT_BYTES ? KS_PARAM(content) : CONTENT_BYTES;

    if (!size) {
        transfers.ringbuf_output(transfer, offsetof(struct transfer_t, content), 0);
        return;
    }
    if (transfer->bytes < size)
        size = transfer->bytes;
    bpf_probe_read_user(transfer->content, size, (void *)data);
    transfers.ringbuf_output(transfer, sizeof(*transfer), 0);
}

static inline int leave(struct pt_regs *ctx, u32 direction, bool extended)
{
    struct transfer_t transfer = {.direction = direction};
    u64 now = bpf_ktime_get_ns();
    u32 tid = bpf_get_current_pid_tgid();
    struct call_t *found = entered.lookup(&tid);
    s32 result = PT_REGS_RC(ctx);
    struct slot_t slot = {.direction = direction};

    if (!found)
        return 0;
    struct call_t call = *found;
    entered.delete(&tid);
    if (result <= 0)
        return 0;
    transfer.bytes = result;
    if (extended)
        bpf_probe_read_user(&transfer.bytes, sizeof(transfer.bytes), (void *)call.size);
    transfer.at_ns = call.at_ns;
    transfer.duration_ns = now - call.at_ns;
    transfer.ssl = call.ssl;
    KS_SET_TASK(&transfer);
    slot.slot = ks_slot(transfer.bytes);
    __builtin_memcpy(slot.comm, transfer.comm, sizeof(slot.comm));
    KS_COUNT(sizes, &slot);
    report(&transfer, call.data);
    return 0;
}

int on_read(struct pt_regs *ctx)
{
    return leave(ctx, DIRECTION_READ, false);
}

int on_read_ex(struct pt_regs *ctx)
{
    return leave(ctx, DIRECTION_READ, true);
}

int on_write(struct pt_regs *ctx)
{
    return leave(ctx, DIRECTION_WRITE, false);
}

int on_write_ex(struct pt_regs *ctx)
{
    return leave(ctx, DIRECTION_WRITE, true);
}
