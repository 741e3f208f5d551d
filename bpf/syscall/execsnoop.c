/* Programs started: who, what, with which arguments and result. */

#define PATH_BYTES 256
#define ARGS_BYTES 1024
#define ARG_COUNT  24 /* arguments shown for a failed call */
#define ARG_BYTES  128

struct call_t {
    u64 at_ns;
    u64 argv;
    char path[PATH_BYTES];
};

struct exec_t {
    u64 at_ns;
    u64 duration_ns;
    u32 pid;
    u32 ppid;
    u32 uid;
    s32 result;
    char comm[16];
    u32 args_bytes; /* of the whole list, even if it was truncated */
    u32 truncated;
    char path[PATH_BYTES];
    char args[ARGS_BYTES + ARG_BYTES];
};

/* By process, not by thread: a thread that succeeds takes its leader's id. */
BPF_HASH(entered, u32, struct call_t);
BPF_PERCPU_ARRAY(scratch, struct exec_t, 1);
BPF_RINGBUF_OUTPUT(execs, 8);

static inline int enter(u64 path, u64 argv)
{
    struct call_t call = {.at_ns = bpf_ktime_get_ns(), .argv = argv};
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    bpf_probe_read_user_str(call.path, sizeof(call.path), (void *)path);
    entered.update(&pid, &call);
    return 0;
}

int on_execve(struct ks_sys_enter *args)
{
    return enter(args->args[0], args->args[1]);
}

int on_execveat(struct ks_sys_enter *args)
{
    return enter(args->args[1], args->args[2]);
}

/* The new program's arguments are contiguous, with a NUL after each. All NULs but the last become
 * spaces, eight at a time: a byte of `nul` is 0x80 where the text's is 0, and 0x80 >> 2 is ' '. */
static inline void read_new_args(struct exec_t *exec, struct task_struct *task)
{
    const u64 low7 = 0x7f7f7f7f7f7f7f7fULL;
    u64 start = task->mm->arg_start;
    u64 size = task->mm->arg_end - start;
    u64 *words = (u64 *)exec->args;

    exec->args_bytes = size;
    exec->truncated = size > ARGS_BYTES;
    if (size > ARGS_BYTES)
        size = ARGS_BYTES;
    if (size < 1 || bpf_probe_read_user(exec->args, size, (void *)start) < 0)
        return;
    asm volatile("" : "+r"(size)); /* or clang drops the loop's bound, which the verifier needs */
    for (u32 i = 0; i < ARGS_BYTES / 8; i++) {
        u64 nul;

        if (i * 8 >= size)
            break;
        nul = ~(((words[i] & low7) + low7) | words[i] | low7);
        words[i] |= nul >> 2;
    }
    exec->args[exec->truncated ? ARGS_BYTES : (size - 1) & (ARGS_BYTES - 1)] = 0;
}

/* For a failed call there is only what the caller prepared. */
static inline void read_old_args(struct exec_t *exec, struct call_t *call)
{
    u64 at = 0, text = 0;

    for (int i = 0; i < ARG_COUNT; i++) {
        s64 length;

        text = 0;
        if (bpf_probe_read_user(&text, sizeof(text), (u64 *)call->argv + i) < 0 || !text)
            break;
        if (at >= ARGS_BYTES)
            break;
        length = bpf_probe_read_user_str(&exec->args[at], ARG_BYTES, (void *)text);
        if (length < 1 || length > ARG_BYTES)
            break;
        if (length == ARG_BYTES)
            exec->truncated = true;
        if (at && at < ARGS_BYTES)
            exec->args[at - 1] = ' ';
        at += length;
        text = 0;
    }
    if (text)
        exec->truncated = true;
    exec->args_bytes = at;
}

static inline void set_caller(struct exec_t *exec, struct task_struct *task)
{
    exec->pid = bpf_get_current_pid_tgid() >> 32;
    exec->ppid = task->real_parent->tgid;
    exec->uid = bpf_get_current_uid_gid();
    exec->truncated = false;
    bpf_get_current_comm(&exec->comm, sizeof(exec->comm));
    exec->args[0] = 0;
}

static inline void report(struct exec_t *exec)
{
    if (!KS_KEEP_CURRENT() || (KS_PARAM(failed) && exec->result == 0))
        return;
    execs.ringbuf_output(exec, sizeof(*exec), 0);
}

int on_exit(struct ks_sys_exit *args)
{
    u32 zero = 0, pid = bpf_get_current_pid_tgid() >> 32;
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct call_t *call = entered.lookup(&pid);
    struct exec_t *exec = scratch.lookup(&zero);

    if (!call || !exec)
        return 0;
    set_caller(exec, task);
    exec->at_ns = call->at_ns;
    exec->duration_ns = bpf_ktime_get_ns() - call->at_ns;
    exec->result = args->result;
    __builtin_memcpy(exec->path, call->path, sizeof(exec->path));
    if (args->result == 0)
        read_new_args(exec, task);
    else
        read_old_args(exec, call);
    entered.delete(&pid);
    report(exec);
    return 0;
}

/* sched_process_exec(task, old_pid, bprm): only successful calls. Of them, the tracepoints of
 * system calls leave out the exit of those that start a 32-bit program, and both ends of those that
 * a 32-bit program or the kernel itself makes. */
int on_started(u64 *ctx)
{
    u32 zero = 0, pid = bpf_get_current_pid_tgid() >> 32;
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct linux_binprm *program = (struct linux_binprm *)ctx[2];
    struct call_t *call = entered.lookup(&pid);
    struct exec_t *exec = scratch.lookup(&zero);

    if (!exec || (call && !ks_is_32bit(task)))
        return 0;
    set_caller(exec, task);
    exec->at_ns = bpf_ktime_get_ns();
    exec->duration_ns = 0;
    exec->result = 0;
    if (call) {
        exec->duration_ns = exec->at_ns - call->at_ns;
        exec->at_ns = call->at_ns;
        __builtin_memcpy(exec->path, call->path, sizeof(exec->path));
        entered.delete(&pid);
    } else {
        exec->path[0] = 0;
        bpf_probe_read_kernel_str(exec->path, sizeof(exec->path), ks_pointer(&program->filename));
    }
    read_new_args(exec, task);
    report(exec);
    return 0;
}
