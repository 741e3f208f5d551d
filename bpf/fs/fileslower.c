/* File operations that took long: read, write, open and fsync, with the file's name. */

#define FILE_BYTES 96

enum { READ = 1, WRITE, OPEN, FSYNC };

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

BPF_HASH(entered, u32, struct ks_file_call);
BPF_RINGBUF_OUTPUT(slow, 8);

static inline int enter(struct file *file, u64 operation)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct ks_file_call call;

    if (ks_file_begin(&call, file, operation))
        entered.update(&tid, &call);
    return 0;
}

int on_read(struct ks_sys_enter *args)
{
    return enter(ks_file(args->args[0]), READ);
}

int on_write(struct ks_sys_enter *args)
{
    return enter(ks_file(args->args[0]), WRITE);
}

int on_fsync(struct ks_sys_enter *args)
{
    return enter(ks_file(args->args[0]), FSYNC);
}

int on_open(struct ks_sys_enter *args)
{
    return enter(0, OPEN);
}

static inline void report(struct ks_file_call *call, u64 now, s64 result)
{
    struct file *file = call->file ? call->file : ks_file(result);
    struct slow_t *event;

    if (!file || !ks_is_regular(file))
        return;
    event = slow.ringbuf_reserve(sizeof(struct slow_t));
    if (!event)
        return;
    event->at_ns = call->at_ns;
    event->duration_ns = now - call->at_ns;
    event->bytes = call->operation == OPEN ? 0 : result;
    event->operation = call->operation;
    event->device = ks_device(file);
    KS_SET_TASK(event);
    event->file[0] = 0;
    event->truncated = ks_file_name(event->file, FILE_BYTES, file) == FILE_BYTES;
    slow.ringbuf_submit(event, 0);
}

int on_exit(struct ks_sys_exit *args)
{
    u64 now = bpf_ktime_get_ns();
    u32 tid = bpf_get_current_pid_tgid();
    struct ks_file_call *found = entered.lookup(&tid);

    if (!found)
        return 0;
    struct ks_file_call call = *found;
    entered.delete(&tid);
    if (args->result >= 0 && now - call.at_ns >= KS_PARAM(min_us) * 1000)
        report(&call, now, args->result);
    return 0;
}
