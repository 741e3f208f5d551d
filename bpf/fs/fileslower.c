/* Slow file operations: read, write, open and fsync, with the file's name. Runs as tp_btf at every
 * system call; the file is read only if the call was slow. */

#define FILE_BYTES 96

struct slow_t {
    u64 at_ns;
    u64 duration_ns;
    s64 bytes;
    u32 operation;
    u32 device;
    KS_TASK;
    bool truncated;
    char file[FILE_BYTES];
};

BPF_TASK_STORAGE(entered, u64);
BPF_RINGBUF_OUTPUT(slow, 8);

static inline bool is_meant(u32 operation)
{
    return operation && operation != KS_LISTS;
}

/* sys_enter(regs, number) */
int on_enter(u64 *ctx)
{
    if (!is_meant(ks_operation(ctx[1])))
        return 0;
    KS_OWN_BEGIN(entered, KS_TASK_NOW());
    return 0;
}

static inline void report(struct file *file, u32 operation, u64 duration, s64 result)
{
    struct slow_t *event;

    if (!file || !ks_is_regular(file))
        return;
    event = slow.ringbuf_reserve(sizeof(struct slow_t));
    if (!event)
        return;
    event->at_ns = bpf_ktime_get_ns() - duration;
    event->duration_ns = duration;
    event->bytes = operation == KS_READS || operation == KS_WRITES ? result : 0;
    event->operation = operation;
    event->device = ks_device(file);
    KS_SET_TASK(event);
    event->file[0] = 0;
    event->truncated = ks_file_name(event->file, FILE_BYTES, file) == FILE_BYTES;
    slow.ringbuf_submit(event, 0);
}

/* sys_exit(regs, result) */
int on_exit(u64 *ctx)
{
    struct pt_regs *regs = (struct pt_regs *)ctx[0];
    struct task_struct *task = KS_TASK_NOW();
    u32 operation = ks_operation_ended(regs, task);
    s64 result = ctx[1];
    struct file *file;
    u64 duration;

    if (!is_meant(operation))
        return 0;
    duration = KS_OWN_END(entered, task);
    if (!duration || result < 0 || duration < KS_PARAM(min_us) * 1000)
        return 0;
    file = ks_file_ended(task, regs, operation, result);
    report(file, operation, duration, result);
    return 0;
}
