/* Files read and written: how often and how much, by process and file. */

#define READ  1
#define WRITE 2

struct call_t {
    struct file *file;
    u64 operation;
};

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

BPF_HASH(entered, u32, struct call_t);
BPF_HASH(files, struct file_t, struct totals_t);

static inline int enter(u32 fd, u64 operation)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct call_t call = {.file = ks_file(fd), .operation = operation};

    if (call.file && (KS_PARAM(all) || ks_is_regular(call.file)))
        entered.update(&tid, &call);
    return 0;
}

int on_read(struct ks_sys_enter *args)
{
    return enter(args->args[0], READ);
}

int on_write(struct ks_sys_enter *args)
{
    return enter(args->args[0], WRITE);
}

static inline void read_file(struct file_t *key, struct file *file)
{
    struct inode *inode = ks_pointer(&file->f_inode);

    key->inode = ks_u64(&inode->i_ino);
    key->device = ks_device(file);
    key->kind = (ks_u32(&inode->i_mode) & 0170000) >> 12; /* S_IFMT */
    ks_file_name(key->file, sizeof(key->file), file);
}

int on_exit(struct ks_sys_exit *args)
{
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 tid = pid_tgid;
    struct call_t *call = entered.lookup(&tid);
    struct totals_t zero = {}, *totals;
    struct file_t key = {};

    if (!call)
        return 0;
    if (KS_PARAM(by) != 1) {
        key.pid = pid_tgid >> 32;
        bpf_get_current_comm(&key.comm, sizeof(key.comm));
    }
    if (KS_PARAM(by) != 2)
        read_file(&key, call->file);
    bool reading = call->operation == READ;
    entered.delete(&tid);
    if (args->result < 0)
        return 0;
    totals = files.lookup_or_try_init(&key, &zero);
    if (!totals)
        return 0;
    lock_xadd(reading ? &totals->reads : &totals->writes, 1);
    lock_xadd(reading ? &totals->read_bytes : &totals->written_bytes, args->result);
    return 0;
}
