/* Tasks that gain privileges: by a set-user-ID bit or file capabilities, a change back to root, or
 * a new user namespace. Their credentials are compared across the calls that can change them. */

#define PATH_BYTES 256

struct creds_t {
    u64 capabilities;
    u64 user_namespace;
    u32 euid;
    u32 uid;
    s32 syscall;
};

struct gain_t {
    u64 at_ns;
    u64 gained;
    u64 capabilities;
    KS_TASK;
    u32 ppid;
    u32 euid_before;
    u32 euid;
    s32 syscall;
    bool own_namespace;
    bool truncated;
    char program[PATH_BYTES];
};

/* Calls by thread; execs by process, because a thread that succeeds takes its leader's id. */
BPF_HASH(calling, u32, struct creds_t);
BPF_HASH(execing, u32, struct creds_t);
BPF_RINGBUF_OUTPUT(gains, 8);

/* A capability set is read as one number, even if the kernel keeps it as two halves. */
static inline struct creds_t creds_now(void)
{
    struct task_struct *task = bpf_get_current_task_btf();
    const struct cred *cred = task->cred;
    struct creds_t now = {};

    bpf_probe_read_kernel(&now.capabilities, sizeof(u64), &cred->cap_effective);
    now.user_namespace = (u64)cred->user_ns;
    now.euid = cred->euid.val;
    now.uid = cred->uid.val;
    return now;
}

int on_call(struct ks_sys_enter *args)
{
    struct creds_t now = creds_now();
    u32 tid = bpf_get_current_pid_tgid();

    calling.update(&tid, &now);
    return 0;
}

int on_exec(struct ks_sys_enter *args)
{
    struct creds_t now = creds_now();
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    now.syscall = args->number;
    execing.update(&pid, &now);
    return 0;
}

static inline void compare(struct creds_t *before, s32 syscall)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct creds_t now = creds_now();
    u64 gained = now.capabilities & ~before->capabilities;
    bool root = before->euid && !now.euid;
    struct gain_t *gain;

    if ((!gained && !root) || !KS_KEEP_TASK(task))
        return;
    gain = gains.ringbuf_reserve(sizeof(struct gain_t));
    if (!gain)
        return;
    gain->at_ns = bpf_ktime_get_ns();
    gain->gained = gained;
    gain->capabilities = now.capabilities;
    KS_SET_TASK(gain);
    gain->ppid = task->real_parent->tgid;
    gain->uid = before->uid;
    gain->euid_before = before->euid;
    gain->euid = now.euid;
    gain->syscall = syscall;
    gain->own_namespace = now.user_namespace != before->user_namespace;
    gain->program[0] = 0;
    gain->truncated = bpf_probe_read_user_str(gain->program, PATH_BYTES,
                                              (void *)task->mm->arg_start) == PATH_BYTES;
    gains.ringbuf_submit(gain, 0);
}

int on_return(struct ks_sys_exit *args)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct creds_t *before = calling.lookup(&tid);

    if (before) {
        if (args->result >= 0)
            compare(before, args->number);
        calling.delete(&tid);
    }
    return 0;
}

int on_exec_return(struct ks_sys_exit *args)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct creds_t *before = execing.lookup(&pid);

    if (before) {
        if (args->result >= 0)
            compare(before, args->number);
        execing.delete(&pid);
    }
    return 0;
}

/* sched_process_exec(task, old_pid, bprm): where the new program is a 32-bit one, the tracepoint of
 * the call's exit does not fire. */
int on_started(u64 *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct creds_t *before = execing.lookup(&pid);

    if (before && ks_is_32bit(bpf_get_current_task_btf())) {
        compare(before, before->syscall);
        execing.delete(&pid);
    }
    return 0;
}
