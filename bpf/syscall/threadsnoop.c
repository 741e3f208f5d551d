/* Threads that programs start with pthread_create: by whom, and what they run. */

struct start_t {
    u64 at_ns;
    u64 routine;
    KS_TASK;
    s32 user_stack;
};

BPF_STACK_TRACE(stacks, 16384);
BPF_RINGBUF_OUTPUT(starts, 8);

/* pthread_create(thread, attributes, routine, argument) */
int on_create(struct pt_regs *ctx)
{
    struct start_t start = {.at_ns = bpf_ktime_get_ns()};

    start.routine = PT_REGS_PARM3(ctx);
    start.user_stack = KS_PARAM(stacks) ? -1 : stacks.get_stackid(ctx, BPF_F_USER_STACK);
    KS_SET_TASK(&start);
    starts.ringbuf_output(&start, sizeof(start), 0);
    return 0;
}
