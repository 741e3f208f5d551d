/* Virtual file system operations: the functions that the calls of every file system pass through.
 * The hooks' own arguments are not used, so that fentry and kprobe work alike. */

enum { READ, WRITE, OPEN, FSYNC, CREATE, UNLINK, MKDIR, RMDIR, RENAME, STAT, LIST };

struct caller_t {
    u64 at_ns;
    u32 pid;
    u32 operation;
    char comm[16];
};

BPF_HASH(operations, struct caller_t, u64);

static inline int add(u32 operation)
{
    struct caller_t caller = {.operation = operation};
    u64 now = bpf_ktime_get_ns();

    caller.at_ns = KS_PARAM(every) ? now - now % KS_PARAM(every) : 0;
    if (KS_PARAM(by)) {
        caller.pid = bpf_get_current_pid_tgid() >> 32;
        bpf_get_current_comm(&caller.comm, sizeof(caller.comm));
    }
    KS_COUNT(operations, &caller);
    return 0;
}

int on_read(void *ctx)
{
    return add(READ);
}

int on_write(void *ctx)
{
    return add(WRITE);
}

int on_open(void *ctx)
{
    return add(OPEN);
}

int on_fsync(void *ctx)
{
    return add(FSYNC);
}

int on_create(void *ctx)
{
    return add(CREATE);
}

int on_unlink(void *ctx)
{
    return add(UNLINK);
}

int on_mkdir(void *ctx)
{
    return add(MKDIR);
}

int on_rmdir(void *ctx)
{
    return add(RMDIR);
}

int on_rename(void *ctx)
{
    return add(RENAME);
}

int on_stat(void *ctx)
{
    return add(STAT);
}

int on_list(void *ctx)
{
    return add(LIST);
}
