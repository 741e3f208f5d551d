/* Capability checks: which privilege a task needed, and whether it had it. */

#define NO_AUDIT 2 /* CAP_OPT_NOAUDIT, include/linux/security.h */

#define AUDITED       1
#define NOT_AUDITED   2
#define AUDIT_UNKNOWN 3

struct check_t {
    u64 at_ns;
    KS_TASK;
    u32 capability;
    s32 result;
    u32 audit;
    s32 kernel_stack;
    s32 user_stack;
};

BPF_STACK_TRACE(stacks, 16384);
BPF_ARRAY(function_traced, u64, 1);
BPF_RINGBUF_OUTPUT(checks, 8);

static inline int check(void *ctx, u32 capability, s32 result, u32 audit)
{
    struct check_t made = {.at_ns = bpf_ktime_get_ns(), .kernel_stack = -1, .user_stack = -1};

    if (KS_PARAM(failed) && !result)
        return 0;
    if (KS_PARAM(audited) && audit == NOT_AUDITED)
        return 0;
    if (KS_PARAM(capability) && KS_PARAM(capability) != capability + 1)
        return 0;
    made.capability = capability;
    made.result = result;
    made.audit = audit;
    if (KS_PARAM(stacks) & 1)
        made.kernel_stack = stacks.get_stackid(ctx, 0);
    if (KS_PARAM(stacks) & 2)
        made.user_stack = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    KS_SET_TASK(&made);
    checks.ringbuf_output(&made, sizeof(made), 0);
    return 0;
}

/* The function's entry, before the tracepoint in it: if the function can be traced, which provides
 * more, the tracepoint is not needed. */
int on_call(u64 *ctx)
{
    u64 traced = 1;
    u32 zero = 0;

    function_traced.update(&zero, &traced);
    return 0;
}

/* cap_capable(cred, namespace, capability, options) = result */
int on_return(u64 *ctx)
{
    return check(ctx, ctx[2], ctx[4], ctx[3] & NO_AUDIT ? NOT_AUDITED : AUDITED);
}

/* cap_capable(cred, target_namespace, capable_namespace, capability, result) */
int on_check(u64 *ctx)
{
    u32 zero = 0;
    u64 *traced = function_traced.lookup(&zero);

    if (traced && *traced)
        return 0;
    return check(ctx, ctx[3], ctx[4], AUDIT_UNKNOWN);
}
