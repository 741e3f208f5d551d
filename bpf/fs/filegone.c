/* Files that lose their name: deleted, renamed, or replaced by another file. */

#define PATH_BYTES 256
#define AT_FDCWD   -100

#define DELETE        1
#define DELETE_FOLDER 2
#define RENAME        3
#define REMOVE_DIR    0x200 /* AT_REMOVEDIR, include/uapi/linux/fcntl.h */

struct call_t {
    u64 at_ns;
    u64 path;
    u64 target;
    s32 folder;
    s32 target_folder;
    u32 action;
};

struct gone_t {
    u64 at_ns;
    KS_TASK;
    u32 action;
    s32 result;
    bool truncated;
    char path[PATH_BYTES];
    char target[PATH_BYTES];
};

struct text_t {
    char text[KS_FOLDER_BYTES];
};

BPF_HASH(entered, u32, struct call_t);
BPF_PERCPU_ARRAY(scratch, struct text_t, 1);
BPF_RINGBUF_OUTPUT(gone, 8);

static inline int enter(u32 action, s32 folder, u64 path, s32 target_folder, u64 target)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct call_t call = {
        .at_ns = bpf_ktime_get_ns(),
        .path = path,
        .target = target,
        .folder = folder,
        .target_folder = target_folder,
        .action = action,
    };

    entered.update(&tid, &call);
    return 0;
}

int on_unlink(struct ks_sys_enter *args)
{
    return enter(DELETE, AT_FDCWD, args->args[0], 0, 0);
}

int on_unlinkat(struct ks_sys_enter *args)
{
    u32 action = args->args[2] & REMOVE_DIR ? DELETE_FOLDER : DELETE;

    return enter(action, args->args[0], args->args[1], 0, 0);
}

int on_rmdir(struct ks_sys_enter *args)
{
    return enter(DELETE_FOLDER, AT_FDCWD, args->args[0], 0, 0);
}

int on_rename(struct ks_sys_enter *args)
{
    return enter(RENAME, AT_FDCWD, args->args[0], AT_FDCWD, args->args[1]);
}

int on_renameat(struct ks_sys_enter *args)
{
    return enter(RENAME, args->args[0], args->args[1], args->args[2], args->args[3]);
}

/* The paths are read here, not at the entry: by now the kernel has loaded their pages. */
int on_exit(struct ks_sys_exit *args)
{
    u32 zero = 0, tid = bpf_get_current_pid_tgid();
    struct call_t *found = entered.lookup(&tid);
    struct text_t *buffer = scratch.lookup(&zero);
    struct gone_t *event;

    if (!found || !buffer)
        return 0;
    struct call_t call = *found;
    entered.delete(&tid);
    if (!KS_PARAM(failed) && args->result < 0)
        return 0;
    event = gone.ringbuf_reserve(sizeof(struct gone_t));
    if (!event)
        return 0;
    event->at_ns = call.at_ns;
    event->action = call.action;
    event->result = args->result;
    KS_SET_TASK(event);
    event->path[0] = 0;
    event->target[0] = 0;
    event->truncated = ks_whole_path(event->path, PATH_BYTES, buffer->text, call.folder,
                                     (void *)call.path) == PATH_BYTES;
    if (call.target && ks_whole_path(event->target, PATH_BYTES, buffer->text, call.target_folder,
                                     (void *)call.target) == PATH_BYTES)
        event->truncated = true;
    gone.ringbuf_submit(event, 0);
    return 0;
}
