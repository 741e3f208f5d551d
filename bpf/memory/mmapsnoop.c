/* Address space changes: mmap, munmap, mremap, mprotect and brk. */

#define FILE_BYTES 64

struct change_t {
    u64 at_ns;
    u64 duration_ns;
    u64 address;
    s64 bytes;
    u64 flags;
    s64 result;
    s32 call;
    s32 fd;
    s32 protection;
    KS_TASK;
    char file[FILE_BYTES];
};

BPF_HASH(entered, u32, struct ks_call);
BPF_RINGBUF_OUTPUT(changes, 8);

int on_mmap(struct ks_sys_enter *args)
{
    KS_ENTER(entered, args, 6);
    return 0;
}

int on_munmap(struct ks_sys_enter *args)
{
    KS_ENTER(entered, args, 2);
    return 0;
}

int on_mremap(struct ks_sys_enter *args)
{
    KS_ENTER(entered, args, 4);
    return 0;
}

int on_mprotect(struct ks_sys_enter *args)
{
    KS_ENTER(entered, args, 3);
    return 0;
}

/* The break before the call is stored in place of the length. */
int on_brk(struct ks_sys_enter *args)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct mm_struct *mm = ks_pointer(&task->mm);
    struct ks_call call = {.at_ns = bpf_ktime_get_ns(), .number = (s32)args->number};
    u32 tid = bpf_get_current_pid_tgid();

    call.args[1] = ks_u64(&mm->brk);
    entered.update(&tid, &call);
    return 0;
}

static inline void leave(struct change_t *change, struct ks_call *call, s64 result)
{
    change->at_ns = call->at_ns;
    change->duration_ns = bpf_ktime_get_ns() - call->at_ns;
    change->call = call->number;
    change->result = result;
    change->address = result < 0 && result >= -4095 ? call->args[0] : result;
    change->bytes = call->args[1];
    change->fd = -1;
    change->protection = -1;
    KS_SET_TASK(change);
}

static inline bool wanted(s64 result, s64 bytes)
{
    bool failed = result < 0 && result >= -4095;

    return failed || (!KS_PARAM(failed) && bytes >= (s64)KS_PARAM(min_size));
}

int on_mmap_exit(struct ks_sys_exit *args)
{
    struct change_t change = {};
    struct ks_call call;
    struct file *file;

    if (!KS_LEAVE(entered, &call) || !wanted(args->result, call.args[1]))
        return 0;
    leave(&change, &call, args->result);
    change.protection = call.args[2];
    change.flags = call.args[3];
    if (!(call.args[3] & MAP_ANONYMOUS)) {
        change.fd = call.args[4];
        file = ks_file(change.fd);
        if (file)
            ks_file_name(change.file, FILE_BYTES, file);
    }
    changes.ringbuf_output(&change, sizeof(change), 0);
    return 0;
}

int on_mremap_exit(struct ks_sys_exit *args)
{
    struct change_t change = {};
    struct ks_call call;

    if (!KS_LEAVE(entered, &call) || !wanted(args->result, call.args[2]))
        return 0;
    leave(&change, &call, args->result);
    change.bytes = call.args[2];
    change.flags = call.args[3];
    changes.ringbuf_output(&change, sizeof(change), 0);
    return 0;
}

/* munmap and mprotect: the address is the caller's. */
int on_exit(struct ks_sys_exit *args)
{
    struct change_t change = {};
    struct ks_call call;

    if (!KS_LEAVE(entered, &call) || !wanted(args->result, call.args[1]))
        return 0;
    leave(&change, &call, args->result);
    change.address = call.args[0];
    if (call.number == __NR_mprotect)
        change.protection = call.args[2];
    changes.ringbuf_output(&change, sizeof(change), 0);
    return 0;
}

/* brk never fails: if it cannot move the break, it returns the old one. */
int on_brk_exit(struct ks_sys_exit *args)
{
    struct change_t change = {};
    struct ks_call call;
    s64 grown;

    if (!KS_LEAVE(entered, &call))
        return 0;
    grown = args->result - call.args[1];
    if (KS_PARAM(failed) || (grown < 0 ? -grown : grown) < (s64)KS_PARAM(min_size))
        return 0;
    leave(&change, &call, args->result);
    change.bytes = grown;
    changes.ringbuf_output(&change, sizeof(change), 0);
    return 0;
}
