/* File operation latency, by file system type and operation. Runs as tp_btf at every system
 * call. */

struct operation_t {
    char fs[16];
    u32 operation;
    u32 slot;
};

BPF_TASK_STORAGE(entered, u64);
KS_HISTOGRAM(latency, struct operation_t);

/* sys_enter(regs, number) */
int on_enter(u64 *ctx)
{
    if (!ks_operation(ctx[1]))
        return 0;
    KS_OWN_BEGIN(entered, KS_TASK_NOW());
    return 0;
}

static inline void add(u32 operation, u64 duration, struct file *file)
{
    struct operation_t key = {.operation = operation, .slot = ks_slot(duration)};
    struct inode *inode = ks_pointer(&file->f_inode);
    struct super_block *super = ks_pointer(&inode->i_sb);
    struct file_system_type *type;

    if (KS_PARAM(disk) && KS_PARAM(disk) != ks_u32(&super->s_dev))
        return;
    type = ks_pointer(&super->s_type);
    bpf_probe_read_kernel_str(key.fs, sizeof(key.fs), ks_pointer(&type->name));
    KS_COUNT(latency, &key);
}

/* sys_exit(regs, result) */
int on_exit(u64 *ctx)
{
    struct pt_regs *regs = (struct pt_regs *)ctx[0];
    struct task_struct *task = KS_TASK_NOW();
    u32 operation = ks_operation_ended(regs, task);
    bool any = operation == KS_OPENS || operation == KS_LISTS;
    s64 result = ctx[1];
    struct file *file;
    u64 duration;

    if (!operation)
        return 0;
    duration = KS_OWN_END(entered, task);
    if (!duration || result < 0)
        return 0;
    file = ks_file_ended(task, regs, operation, result);
    if (file && (any || ks_is_regular(file)))
        add(operation, duration, file);
    return 0;
}
