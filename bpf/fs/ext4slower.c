/* Slow ext4 operations, between the file system's own start and end events. As raw tracepoints,
 * because ext4 may be a module. */

#define FILE_BYTES 96

enum { WRITE = 1, FSYNC, WRITE_BACK, TRUNCATE, UNLINK, ALLOCATE };

struct begun_t {
    u32 tid;
    u32 operation; /* one can contain another: a sync writes back */
};

struct slow_t {
    u64 at_ns;
    u64 duration_ns;
    u64 inode;
    s64 result;
    u32 device;
    u32 operation;
    KS_TASK;
    char file[FILE_BYTES];
};

BPF_HASH(begun, struct begun_t, u64, 65536);
BPF_RINGBUF_OUTPUT(slow, 8);

static inline int begin(u32 operation)
{
    struct begun_t key = {.tid = bpf_get_current_pid_tgid(), .operation = operation};

    KS_BEGIN(begun, &key);
    return 0;
}

/* A file may have several names; this is the most recently used one. */
static inline struct dentry *name_of(struct inode *inode)
{
    void *first = ks_pointer(&inode->i_dentry.first);

    return first ? first - offsetof(struct dentry, d_u.d_alias) : 0;
}

static inline int end(u32 operation, struct inode *inode, struct dentry *dentry, s64 result)
{
    struct begun_t key = {.tid = bpf_get_current_pid_tgid(), .operation = operation};
    u64 duration = KS_END(begun, &key);
    struct super_block *super = ks_pointer(&inode->i_sb);
    struct slow_t *event;

    if (!duration || duration < KS_PARAM(min_us) * 1000)
        return 0;
    if (KS_PARAM(disk) && KS_PARAM(disk) != ks_u32(&super->s_dev))
        return 0;
    event = slow.ringbuf_reserve(sizeof(struct slow_t));
    if (!event)
        return 0;
    event->at_ns = bpf_ktime_get_ns() - duration;
    event->duration_ns = duration;
    event->inode = ks_u64(&inode->i_ino);
    event->result = result;
    event->device = ks_u32(&super->s_dev);
    event->operation = operation;
    KS_SET_TASK(event);
    event->file[0] = 0;
    if (dentry)
        bpf_probe_read_kernel_str(event->file, FILE_BYTES, ks_pointer(&dentry->d_name.name));
    slow.ringbuf_submit(event, 0);
    return 0;
}

static inline int end_of(u32 operation, u64 inode, s64 result)
{
    return end(operation, (struct inode *)inode, name_of((struct inode *)inode), result);
}

int on_write(u64 *ctx)
{
    return begin(WRITE);
}

int on_write_end(u64 *ctx)
{
    return end_of(WRITE, ctx[0], 0);
}

int on_fsync(u64 *ctx)
{
    return begin(FSYNC);
}

int on_fsync_end(u64 *ctx)
{
    return end_of(FSYNC, ctx[0], (s32)ctx[1]);
}

int on_write_back(u64 *ctx)
{
    return begin(WRITE_BACK);
}

int on_write_back_end(u64 *ctx)
{
    return end_of(WRITE_BACK, ctx[0], (s32)ctx[2]);
}

int on_truncate(u64 *ctx)
{
    return begin(TRUNCATE);
}

int on_truncate_end(u64 *ctx)
{
    return end_of(TRUNCATE, ctx[0], 0);
}

int on_allocate(u64 *ctx)
{
    return begin(ALLOCATE);
}

int on_allocate_end(u64 *ctx)
{
    return end_of(ALLOCATE, ctx[0], (s32)ctx[3]);
}

int on_unlink(u64 *ctx)
{
    return begin(UNLINK);
}

int on_unlink_end(u64 *ctx)
{
    struct dentry *dentry = (struct dentry *)ctx[0];

    return end(UNLINK, ks_pointer(&dentry->d_inode), dentry, (s32)ctx[1]);
}
