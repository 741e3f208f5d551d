/* Calls that write data to the disk: who waited for which file, and how long. */

#define NAME_BYTES 128

struct sync_t {
    u64 at_ns;
    u64 duration_ns;
    KS_TASK;
    s32 syscall;
    s32 result;
    s32 fd;
    char file[NAME_BYTES];
};

BPF_HASH(entered, u32, struct ks_call);
BPF_RINGBUF_OUTPUT(syncs, 8);

static inline int enter(s64 number, u64 fd)
{
    struct ks_sys_enter entry = {.number = number, .args = {fd}};

    KS_ENTER(entered, &entry, 1);
    return 0;
}

int on_fd(struct ks_sys_enter *args)
{
    return enter(args->number, args->args[0]);
}

/* sync and msync take no descriptor; sync has no arguments at all, and no bytes after s32. */
int on_other(struct ks_sys_enter *args)
{
    return enter(*(s32 *)&args->number, -1);
}

int on_exit(struct ks_sys_exit *args)
{
    struct sync_t *sync;
    struct ks_call call;
    u64 duration;
    struct file *file;

    if (!KS_LEAVE(entered, &call))
        return 0;
    duration = bpf_ktime_get_ns() - call.at_ns;
    if (duration < KS_PARAM(min_ms) * 1000000)
        return 0;
    sync = syncs.ringbuf_reserve(sizeof(struct sync_t));
    if (!sync)
        return 0;
    sync->at_ns = call.at_ns;
    sync->duration_ns = duration;
    sync->syscall = call.number;
    sync->result = args->result;
    sync->fd = call.args[0];
    KS_SET_TASK(sync);
    sync->file[0] = 0;
    file = sync->fd < 0 ? 0 : ks_file(sync->fd);
    if (file)
        ks_file_name(sync->file, NAME_BYTES, file);
    syncs.ringbuf_submit(sync, 0);
    return 0;
}
