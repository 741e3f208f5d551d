/* How long operations on files took, by file system type and operation. */

enum { READ = 1, WRITE, OPEN, FSYNC, LIST };

struct operation_t {
    char fs[16];
    u32 operation;
    u32 slot;
};

BPF_HASH(entered, u32, struct ks_file_call);
KS_HISTOGRAM(latency, struct operation_t);

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

int on_list(struct ks_sys_enter *args)
{
    struct ks_file_call call = {.file = ks_file(args->args[0]), .operation = LIST};
    u32 tid = bpf_get_current_pid_tgid();

    call.at_ns = bpf_ktime_get_ns();
    if (call.file)
        entered.update(&tid, &call);
    return 0;
}

static inline void add(struct ks_file_call *call, u64 duration, struct file *file)
{
    struct operation_t key = {.operation = call->operation, .slot = ks_slot(duration)};
    struct inode *inode = ks_pointer(&file->f_inode);
    struct super_block *super = ks_pointer(&inode->i_sb);
    struct file_system_type *type = ks_pointer(&super->s_type);

    bpf_probe_read_kernel_str(key.fs, sizeof(key.fs), ks_pointer(&type->name));
    KS_COUNT(latency, &key);
}

int on_exit(struct ks_sys_exit *args)
{
    u64 now = bpf_ktime_get_ns();
    u32 tid = bpf_get_current_pid_tgid();
    struct ks_file_call *found = entered.lookup(&tid);
    struct file *file;

    if (!found)
        return 0;
    struct ks_file_call call = *found;
    entered.delete(&tid);
    if (args->result < 0)
        return 0;
    file = call.file ? call.file : ks_file(args->result);
    if (file && (!KS_PARAM(disk) || KS_PARAM(disk) == ks_device(file)))
        add(&call, now - call.at_ns, file);
    return 0;
}
