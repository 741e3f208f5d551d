/* Sizes of memory allocations: malloc and related functions. */

struct size_of_t {
    char comm[16];
    u32 pid;
    u32 slot;
};

struct asked_t {
    char comm[16];
    u32 pid;
    u32 hook;
};

struct amount_t {
    u64 count;
    u64 bytes;
};

KS_HISTOGRAM(sizes, struct size_of_t);
BPF_HASH(functions, struct asked_t, struct amount_t);

static inline int ask(u64 bytes)
{
    struct asked_t asked = {.hook = KS_HOOK};
    struct amount_t none = {}, *amount;
    struct size_of_t size = {};

    if (KS_PARAM(by) == 1)
        asked.pid = bpf_get_current_pid_tgid() >> 32;
    if (KS_PARAM(by))
        bpf_get_current_comm(&asked.comm, sizeof(asked.comm));
    amount = functions.lookup_or_try_init(&asked, &none);
    if (amount) {
        lock_xadd(&amount->count, 1);
        lock_xadd(&amount->bytes, bytes);
    }
    size.pid = asked.pid;
    __builtin_memcpy(size.comm, asked.comm, sizeof(size.comm));
    size.slot = ks_slot(bytes);
    KS_COUNT(sizes, &size);
    return 0;
}

int on_malloc(struct pt_regs *ctx)
{
    return ask(PT_REGS_PARM1(ctx));
}

int on_calloc(struct pt_regs *ctx)
{
    return ask(PT_REGS_PARM1(ctx) * PT_REGS_PARM2(ctx));
}

/* realloc(pointer, size), aligned_alloc(alignment, size), memalign(alignment, size) */
int on_second(struct pt_regs *ctx)
{
    return ask(PT_REGS_PARM2(ctx));
}

int on_third(struct pt_regs *ctx) /* posix_memalign(pointer, alignment, size) */
{
    return ask(PT_REGS_PARM3(ctx));
}
