/* Files read and written: number of calls and bytes, by process and file. Runs as tp_btf at the end
 * of every system call, when the registers still hold the call and its arguments. */

struct file_t {
    u64 inode;
    u32 device;
    u32 pid;
    u32 kind;
    u32 unused;
    char comm[16];
    char file[64];
};

struct totals_t {
    u64 reads;
    u64 writes;
    u64 read_bytes;
    u64 written_bytes;
};

BPF_HASH(files, struct file_t, struct totals_t);

static inline void read_file(struct file_t *key, struct file *file)
{
    struct inode *inode = ks_pointer(&file->f_inode);

    key->inode = ks_u64(&inode->i_ino);
    key->device = ks_device(file);
    key->kind = (ks_u32(&inode->i_mode) & 0170000) >> 12; /* S_IFMT */
    ks_file_name(key->file, sizeof(key->file), file);
}

static inline void add(struct task_struct *task, struct file *file, bool reading, u64 bytes)
{
    struct totals_t zero = {}, *totals;
    struct file_t key = {};

    if (KS_PARAM(by) != 1) {
        key.pid = task->tgid;
        ks_set_comm(key.comm, task);
    }
    if (KS_PARAM(by) != 2)
        read_file(&key, file);
    totals = files.lookup_or_try_init(&key, &zero);
    if (!totals)
        return;
    lock_xadd(reading ? &totals->reads : &totals->writes, 1);
    lock_xadd(reading ? &totals->read_bytes : &totals->written_bytes, bytes);
}

/* sys_exit(regs, result) */
int on_exit(u64 *ctx)
{
    struct pt_regs *regs = (struct pt_regs *)ctx[0];
    struct task_struct *task = KS_TASK_NOW();
    u32 operation = ks_operation_ended(regs, task);
    s64 result = ctx[1];
    struct file *file;

    if ((operation != KS_READS && operation != KS_WRITES) || result < 0)
        return 0;
    file = ks_file_of(task, ks_first(regs));
    if (file && (KS_PARAM(all) || ks_is_regular(file)))
        add(task, file, operation == KS_READS, result);
    return 0;
}
