/* Files opened: by whom, how, with what result and how long it took. */

#define PATH_BYTES 256
#define AT_FDCWD   -100

struct call_t {
    u64 at_ns; /* 0 if the task is in no such call */
    u64 path;
    u64 flags;
    s64 folder; /* that a relative path starts at: a descriptor or AT_FDCWD */
};

struct text_t {
    char text[KS_FOLDER_BYTES];
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
BPF_PERCPU_ARRAY(scratch, struct text_t, 1);
BPF_RINGBUF_OUTPUT(opens, 8);

static inline int enter(s64 folder, u64 path, u64 flags)
{
    struct call_t *call = KS_OWN(entered, KS_TASK_NOW());

    if (!call)
        return 0;
    call->folder = folder;
    call->path = path;
    call->flags = flags;
    call->at_ns = bpf_ktime_get_ns();
    return 0;
}

int on_open(struct ks_sys_enter *args)
{
    return enter(AT_FDCWD, args->args[0], args->args[1]);
}

int on_openat(struct ks_sys_enter *args)
{
    return enter(args->args[0], args->args[1], args->args[2]);
}

int on_openat2(struct ks_sys_enter *args)
{
    u64 flags = 0; /* the first member of struct open_how */

    bpf_probe_read_user(&flags, sizeof(flags), (void *)args->args[2]);
    return enter(args->args[0], args->args[1], flags);
}

int on_creat(struct ks_sys_enter *args)
{
    return enter(AT_FDCWD, args->args[0], 01101); /* O_CREAT | O_WRONLY | O_TRUNC, see creat(2) */
}

static inline s64 read_path(char *to, struct call_t *call)
{
    u32 zero = 0;
    struct text_t *buffer = KS_PARAM(full) ? scratch.lookup(&zero) : 0;

    if (buffer)
        return ks_whole_path(to, PATH_BYTES, buffer->text, call->folder, (void *)call->path);
    return bpf_probe_read_user_str(to, PATH_BYTES, (void *)call->path);
}

/* The path is read here, not at the entry: by now the kernel has loaded its page. */
static inline int leave(s64 result)
{
    struct call_t *found = KS_OWN_IF_ANY(entered, KS_TASK_NOW());
    struct open_t *open;

    if (!found || !found->at_ns)
        return 0;
    struct call_t call = *found;
    found->at_ns = 0;
    if (KS_PARAM(failed) && result >= 0)
        return 0;
    open = opens.ringbuf_reserve(sizeof(struct open_t));
    if (!open)
        return 0;
    open->at_ns = call.at_ns;
    open->duration_ns = bpf_ktime_get_ns() - call.at_ns;
    open->result = result;
    open->flags = call.flags;
    open->access = call.flags & 3;
    KS_SET_TASK(open);
    open->path[0] = 0;
    open->truncated = read_path(open->path, &call) == PATH_BYTES;
    opens.ringbuf_submit(open, 0);
    return 0;
}

int on_exit(struct ks_sys_exit *args)
{
    return leave(args->result);
}

/* sys_enter(regs, number): the calls of 32-bit programs, which the tracepoints of single calls
 * leave out, by the numbers of their own table (arch/x86/entry/syscalls/syscall_32.tbl). */
int on_enter32(u64 *ctx)
{
#ifdef bpf_target_x86
    struct pt_regs regs = {};
    u64 flags = 0;

    if (!ks_is_32bit(KS_TASK_NOW()))
        return 0;
    bpf_probe_read_kernel(&regs, sizeof(regs), (void *)ctx[0]);
    switch (ctx[1]) {
    case 5: /* open */
        return enter(AT_FDCWD, (u32)regs.bx, (u32)regs.cx);
    case 8: /* creat */
        return enter(AT_FDCWD, (u32)regs.bx, 01101);
    case 295: /* openat */
        return enter((s32)regs.bx, (u32)regs.cx, (u32)regs.dx);
    case 437: /* openat2 */
        bpf_probe_read_user(&flags, sizeof(flags), (void *)(u64)(u32)regs.dx);
        return enter((s32)regs.bx, (u32)regs.cx, flags);
    }
#endif
    return 0;
}

/* sys_exit(regs, result) */
int on_exit32(u64 *ctx)
{
    return ks_is_32bit(KS_TASK_NOW()) ? leave(ctx[1]) : 0;
}
