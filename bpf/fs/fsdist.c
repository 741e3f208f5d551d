/* How long operations on files took, by file system type and operation. An operation's kind is told
 * by the hook at its end. */

enum { READ = 1, WRITE, OPEN, FSYNC, LIST };

struct operation_t {
    char fs[16];
    u32 operation;
    u32 slot;
};

BPF_HASH(entered, u32, struct ks_file_call);
KS_HISTOGRAM(latency, struct operation_t);

int on_call(struct ks_sys_enter *args)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct file *file = ks_file(args->args[0]);
    struct ks_file_call call;

    if (file && ks_file_begin(&call, file, 0))
        entered.update(&tid, &call);
    return 0;
}

int on_list(struct ks_sys_enter *args)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct ks_file_call call;

    ks_file_begin(&call, ks_file(args->args[0]), 0);
    entered.update(&tid, &call);
    return 0;
}

int on_open(void *args)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct ks_file_call call;

    ks_file_begin(&call, 0, 0);
    entered.update(&tid, &call);
    return 0;
}

static inline void add(u32 operation, u64 duration, struct file *file)
{
    struct operation_t key = {.operation = operation, .slot = ks_slot(duration)};
    struct inode *inode = ks_pointer(&file->f_inode);
    struct super_block *super = ks_pointer(&inode->i_sb);
    struct file_system_type *type = ks_pointer(&super->s_type);

    bpf_probe_read_kernel_str(key.fs, sizeof(key.fs), ks_pointer(&type->name));
    KS_COUNT(latency, &key);
}

static inline int leave(s64 result, u32 operation)
{
    u64 now = bpf_ktime_get_ns();
    u32 tid = bpf_get_current_pid_tgid();
    struct ks_file_call *found = entered.lookup(&tid);
    struct file *file;

    if (!found)
        return 0;
    struct ks_file_call call = *found;
    entered.delete(&tid);
    if (result < 0)
        return 0;
    file = operation == OPEN ? ks_file(result) : call.file;
    if (file && (!KS_PARAM(disk) || KS_PARAM(disk) == ks_device(file)))
        add(operation, now - call.at_ns, file);
    return 0;
}

int on_read_end(struct ks_sys_exit *args)
{
    return leave(args->result, READ);
}

int on_write_end(struct ks_sys_exit *args)
{
    return leave(args->result, WRITE);
}

int on_open_end(struct ks_sys_exit *args)
{
    return leave(args->result, OPEN);
}

int on_fsync_end(struct ks_sys_exit *args)
{
    return leave(args->result, FSYNC);
}

int on_list_end(struct ks_sys_exit *args)
{
    return leave(args->result, LIST);
}
