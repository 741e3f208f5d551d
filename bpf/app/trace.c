/* Each call of a function, with the arguments and results that the user asks for. */

#define VALUES     6
#define TEXTS      3
#define TEXT_BYTES 128

struct call_t {
    u64 at_ns;
    u64 values[VALUES];
};

struct event_t {
    u64 at_ns;
    u64 duration_ns;
    u32 hook;
    KS_TASK;
    bool truncated;
    union {
        s64 number[VALUES];
        u64 unsigned_[VALUES];
    };
    char text0[TEXT_BYTES];
    char text1[TEXT_BYTES];
    char text2[TEXT_BYTES];
};

BPF_HASH(nesting, struct ks_frame, struct ks_nesting, 16384);
BPF_HASH(begun, struct ks_frame, struct call_t, 16384);
BPF_RINGBUF_OUTPUT(events, 8);

static inline void begin(void *ctx, struct call_t *call)
{
    call->at_ns = bpf_ktime_get_ns();
    call->values[0] = ks_given(ctx, KS_PARAM(format_0), KS_PARAM(hook_field_0));
    call->values[1] = ks_given(ctx, KS_PARAM(format_1), KS_PARAM(hook_field_1));
    call->values[2] = ks_given(ctx, KS_PARAM(format_2), KS_PARAM(hook_field_2));
    call->values[3] = ks_given(ctx, KS_PARAM(format_3), KS_PARAM(hook_field_3));
    call->values[4] = ks_given(ctx, KS_PARAM(format_4), KS_PARAM(hook_field_4));
    call->values[5] = ks_given(ctx, KS_PARAM(format_5), KS_PARAM(hook_field_5));
}

static inline u64 value(u64 format, u64 given, u64 result)
{
    return ks_converted(format, KS_SOURCE(format) == KS_RETURN ? result : given);
}

static inline bool wanted(s64 value)
{
    s64 number = KS_PARAM(when_number);

    switch (KS_PARAM(when_operator)) {
    case 0:
        return value == number;
    case 1:
        return value != number;
    case 2:
        return value < number;
    case 3:
        return value <= number;
    case 4:
        return value > number;
    case 5:
        return value >= number;
    default:
        return value & number;
    }
}

static inline void take_text(struct event_t *event, u64 format, u64 address)
{
    if (KS_KIND(format) != KS_TEXT)
        return;
    char *text = event->text0 + KS_SLOT(format) * TEXT_BYTES;

    text[0] = 0;
    if (ks_text(text, TEXT_BYTES, address) == TEXT_BYTES)
        event->truncated = true;
}

static inline int show(struct call_t *call, u64 result, u64 duration)
{
    u64 values[VALUES];
    struct event_t *event;

    values[0] = value(KS_PARAM(format_0), call->values[0], result);
    values[1] = value(KS_PARAM(format_1), call->values[1], result);
    values[2] = value(KS_PARAM(format_2), call->values[2], result);
    values[3] = value(KS_PARAM(format_3), call->values[3], result);
    values[4] = value(KS_PARAM(format_4), call->values[4], result);
    values[5] = value(KS_PARAM(format_5), call->values[5], result);
    if (KS_PARAM(when_value) && !wanted(values[KS_PARAM(when_value) - 1]))
        return 0;
    event = events.ringbuf_reserve(sizeof(struct event_t));
    if (!event)
        return 0;
    event->at_ns = call->at_ns;
    event->duration_ns = duration;
    event->hook = KS_HOOK;
    KS_SET_TASK(event);
    event->truncated = false;
    __builtin_memcpy(event->number, values, sizeof(values));
    take_text(event, KS_PARAM(format_0), values[0]);
    take_text(event, KS_PARAM(format_1), values[1]);
    take_text(event, KS_PARAM(format_2), values[2]);
    take_text(event, KS_PARAM(format_3), values[3]);
    take_text(event, KS_PARAM(format_4), values[4]);
    take_text(event, KS_PARAM(format_5), values[5]);
    events.ringbuf_submit(event, 0);
    return 0;
}

int on_call(void *ctx)
{
    struct call_t call = {};
    struct ks_frame frame;

    begin(ctx, &call);
    if (!KS_PARAM(format_returns))
        return show(&call, 0, 0);
    KS_FRAME_BEGINS(nesting, ctx, &frame);
    begun.update(&frame, &call);
    return 0;
}

/* Texts are read here, because by now the call has loaded or written them. */
int on_return(void *ctx)
{
    struct ks_frame frame;
    struct call_t *call;

    if (!KS_FRAME_ENDS(nesting, &frame))
        return 0;
    call = begun.lookup(&frame);
    if (!call)
        return 0;
    show(call, ks_returned(ctx), bpf_ktime_get_ns() - call->at_ns);
    begun.delete(&frame);
    return 0;
}
