/* Distribution of an argument, a field or a return value. */

#define TEXT_BYTES 64

struct slot_t {
    char comm[16];
    u32 pid;
    u32 hook;
    u32 negative;
    u32 slot;
};

struct value_t {
    char comm[16];
    u32 pid;
    u32 hook;
    s64 exact;
};

struct text_t {
    char comm[16];
    u32 pid;
    u32 hook;
    char text[TEXT_BYTES];
};

KS_HISTOGRAM(histogram, struct slot_t);
BPF_HASH(values, struct value_t, u64);
BPF_HASH(texts, struct text_t, u64);

static inline void name(char *comm, u32 *pid)
{
    if (KS_PARAM(by) == 1)
        *pid = bpf_get_current_pid_tgid() >> 32;
    if (KS_PARAM(by))
        bpf_get_current_comm(comm, 16);
}

static inline void count_text(u64 address)
{
    struct text_t text = {.hook = KS_HOOK};

    name(text.comm, &text.pid);
    ks_text(text.text, sizeof(text.text), address);
    KS_COUNT(texts, &text);
}

static inline void count_value(s64 value)
{
    struct value_t exact = {.hook = KS_HOOK, .exact = value};

    name(exact.comm, &exact.pid);
    KS_COUNT(values, &exact);
}

static inline void count_slot(s64 value)
{
    struct slot_t slot = {.hook = KS_HOOK, .negative = value < 0};

    name(slot.comm, &slot.pid);
    slot.slot = ks_slot(value < 0 ? -value : value);
    KS_COUNT(histogram, &slot);
}

static inline int count(u64 given)
{
    s64 value = ks_converted(KS_PARAM(value_0), given);

    if (KS_KIND(KS_PARAM(value_0)) == KS_TEXT)
        count_text(value);
    else if (KS_PARAM(show) == 1)
        count_value(value);
    else
        count_slot(value);
    return 0;
}

int on_call(void *ctx)
{
    if (KS_PARAM(value_returns))
        return 0;
    return count(ks_given(ctx, KS_PARAM(value_0), KS_PARAM(hook_field_0)));
}

int on_return(void *ctx)
{
    return count(ks_returned(ctx));
}
