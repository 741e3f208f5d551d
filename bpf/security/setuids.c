/* Calls that change a task's user or group: old and new ids, and the result. */

struct change_t {
    u64 at_ns;
    KS_TASK;
    u32 gid;
    s32 syscall;
    s32 result;
    s64 real;
    s64 effective;
    s64 saved;
    u32 uid_after;
    u32 gid_after;
};

struct before_t {
    u32 uid;
    u32 gid;
    s64 ids[3];
};

BPF_HASH(entered, u32, struct before_t);
BPF_RINGBUF_OUTPUT(changes, 8);

/* An id of 0xffffffff means: leave it. */
static inline s64 id(u64 argument)
{
    return (s32)argument;
}

static inline int enter(s64 real, s64 effective, s64 saved)
{
    u64 ids = bpf_get_current_uid_gid();
    struct before_t before = {.uid = ids, .gid = ids >> 32, .ids = {real, effective, saved}};
    u32 tid = bpf_get_current_pid_tgid();

    entered.update(&tid, &before);
    return 0;
}

int on_set(struct ks_sys_enter *args)
{
    return enter(-1, id(args->args[0]), -1);
}

int on_setre(struct ks_sys_enter *args)
{
    return enter(id(args->args[0]), id(args->args[1]), -1);
}

int on_setres(struct ks_sys_enter *args)
{
    return enter(id(args->args[0]), id(args->args[1]), id(args->args[2]));
}

/* setfsuid and setfsgid return the previous id, and no error. */
int on_exit(struct ks_sys_exit *args)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct before_t *before = entered.lookup(&tid);
    struct change_t change = {.at_ns = bpf_ktime_get_ns()};
    u64 ids = bpf_get_current_uid_gid();

    if (!before)
        return 0;
    KS_SET_TASK(&change);
    change.uid = before->uid;
    change.gid = before->gid;
    change.real = before->ids[0];
    change.effective = before->ids[1];
    change.saved = before->ids[2];
    change.syscall = args->number;
    change.result = args->result < 0 ? args->result : 0;
    change.uid_after = ids;
    change.gid_after = ids >> 32;
    entered.delete(&tid);
    if (KS_PARAM(failed) && !change.result)
        return 0;
    changes.ringbuf_output(&change, sizeof(change), 0);
    return 0;
}
