/* How long operations on files took, by file system type and operation. */

enum { READ = 1, WRITE, OPEN, FSYNC, LIST };

struct call_t {
    u64 at_ns;
    struct file *file; /* 0 while it is being opened */
    u64 operation;
};

struct operation_t {
    char fs[16];
    u32 operation;
    u32 slot;
};

BPF_HASH(entered, u32, struct call_t);
KS_HISTOGRAM(latency, struct operation_t);

static inline int enter(struct file *file, u64 operation)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct call_t call = {.at_ns = bpf_ktime_get_ns(), .file = file, .operation = operation};

    entered.update(&tid, &call);
    return 0;
}

static inline int enter_file(u32 fd, u64 operation)
{
    struct file *file = ks_file(fd);

    return file && ks_is_regular(file) ? enter(file, operation) : 0;
}

int on_read(struct ks_sys_enter *args)
{
    return enter_file(args->args[0], READ);
}

int on_write(struct ks_sys_enter *args)
{
    return enter_file(args->args[0], WRITE);
}

int on_fsync(struct ks_sys_enter *args)
{
    return enter_file(args->args[0], FSYNC);
}

int on_list(struct ks_sys_enter *args)
{
    struct file *file = ks_file(args->args[0]);

    return file ? enter(file, LIST) : 0;
}

int on_open(struct ks_sys_enter *args)
{
    return enter(0, OPEN);
}

static inline void add(struct call_t *call, u64 duration, struct file *file)
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
    struct call_t *found = entered.lookup(&tid);
    struct file *file;

    if (!found)
        return 0;
    struct call_t call = *found;
    entered.delete(&tid);
    if (args->result < 0)
        return 0;
    file = call.file ? call.file : ks_file(args->result);
    if (file && (!KS_PARAM(disk) || KS_PARAM(disk) == ks_device(file)))
        add(&call, now - call.at_ns, file);
    return 0;
}
