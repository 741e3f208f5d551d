/* File systems mounted and unmounted: who, what, where and with what result. */

#define PATH_BYTES 192
#define TYPE_BYTES 32

struct mount_t {
    u64 at_ns;
    u64 duration_ns;
    u64 flags;
    s64 result;
    s32 call;
    u32 truncated;
    KS_TASK;
    char fs[TYPE_BYTES];
    char source[PATH_BYTES];
    char target[PATH_BYTES];
};

BPF_HASH(entered, u32, struct ks_call);
BPF_RINGBUF_OUTPUT(mounts, 8);

int on_mount(struct ks_sys_enter *args)
{
    KS_ENTER(entered, args, 5);
    return 0;
}

int on_umount(struct ks_sys_enter *args)
{
    KS_ENTER(entered, args, 2);
    return 0;
}

static inline u32 read_text(char *text, u32 size, u64 from)
{
    text[0] = 0;
    return from && bpf_probe_read_user_str(text, size, (void *)from) == size;
}

int on_exit(struct ks_sys_exit *args)
{
    struct ks_call call;
    struct mount_t *mount;
    bool mounting, moving;

    if (!KS_LEAVE(entered, &call) || (KS_PARAM(failed) && args->result >= 0))
        return 0;
    mount = mounts.ringbuf_reserve(sizeof(struct mount_t));
    if (!mount)
        return 0;
    mounting = call.number == __NR_mount;
    moving = call.number == __NR_move_mount;
    mount->at_ns = call.at_ns;
    mount->duration_ns = bpf_ktime_get_ns() - call.at_ns;
    mount->call = call.number;
    mount->result = args->result;
    mount->flags = mounting ? call.args[3] : moving ? call.args[4] : call.args[1];
    KS_SET_TASK(mount);
    mount->truncated = read_text(mount->fs, TYPE_BYTES, mounting ? call.args[2] : 0);
    mount->truncated |= read_text(mount->source, PATH_BYTES,
                                  mounting ? call.args[0]
                                  : moving ? call.args[1]
                                           : 0);
    mount->truncated |= read_text(mount->target, PATH_BYTES,
                                  mounting ? call.args[1]
                                  : moving ? call.args[3]
                                           : call.args[0]);
    mounts.ringbuf_submit(mount, 0);
    return 0;
}
