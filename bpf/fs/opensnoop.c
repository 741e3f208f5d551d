/* Files opened: by whom, how, with what result and how long it took. */

#define PATH_BYTES 256

struct call_t {
    u64 at_ns; /* 0 if the task is in no such call */
    u64 path;
    u64 flags;
};

struct open_t {
    u64 at_ns;
    u64 duration_ns;
    KS_TASK;
    s32 result;
    u32 flags;
    u32 access;
    bool truncated;
    char path[PATH_BYTES];
};

BPF_TASK_STORAGE(entered, struct call_t);
BPF_RINGBUF_OUTPUT(opens, 8);

static inline int enter(u64 path, u64 flags)
{
    struct call_t *call = KS_OWN(entered, KS_TASK_NOW());

    if (!call)
        return 0;
    call->path = path;
    call->flags = flags;
    call->at_ns = bpf_ktime_get_ns();
    return 0;
}

int on_open(struct ks_sys_enter *args)
{
    return enter(args->args[0], args->args[1]);
}

int on_openat(struct ks_sys_enter *args)
{
    return enter(args->args[1], args->args[2]);
}

int on_openat2(struct ks_sys_enter *args)
{
    u64 flags = 0; /* the first member of struct open_how */

    bpf_probe_read_user(&flags, sizeof(flags), (void *)args->args[2]);
    return enter(args->args[1], flags);
}

int on_creat(struct ks_sys_enter *args)
{
    return enter(args->args[0], 01101); /* O_CREAT | O_WRONLY | O_TRUNC, see creat(2) */
}

/* The path is read here, not at the entry: by now the kernel has loaded its page. */
int on_exit(struct ks_sys_exit *args)
{
    struct call_t *found = KS_OWN_IF_ANY(entered, KS_TASK_NOW());
    struct open_t *open;

    if (!found || !found->at_ns)
        return 0;
    struct call_t call = *found;
    found->at_ns = 0;
    if (KS_PARAM(failed) && args->result >= 0)
        return 0;
    open = opens.ringbuf_reserve(sizeof(struct open_t));
    if (!open)
        return 0;
    open->at_ns = call.at_ns;
    open->duration_ns = bpf_ktime_get_ns() - call.at_ns;
    open->result = args->result;
    open->flags = call.flags;
    open->access = call.flags & 3;
    KS_SET_TASK(open);
    open->path[0] = 0;
    open->truncated =
        bpf_probe_read_user_str(open->path, sizeof(open->path), (void *)call.path) == PATH_BYTES;
    opens.ringbuf_submit(open, 0);
    return 0;
}
