/* Heap growth by brk, by user stack. */

struct site_t {
    u32 pid;
    s32 user_stack;
    char comm[16];
};

struct growth_t {
    u64 count;
    u64 bytes;
};

BPF_HASH(entered, u32, u64);
BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(growth, struct site_t, struct growth_t);

int on_brk(struct ks_sys_enter *args)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct mm_struct *mm = ks_pointer(&task->mm);
    u64 end = ks_u64(&mm->brk);
    u32 tid = bpf_get_current_pid_tgid();

    entered.update(&tid, &end);
    return 0;
}

int on_exit(struct ks_sys_exit *args)
{
    u64 pid_tgid = bpf_get_current_pid_tgid(), *before;
    struct growth_t zero = {}, *sum;
    struct site_t site = {};
    u32 tid = pid_tgid;

    before = entered.lookup(&tid);
    if (!before)
        return 0;
    s64 grown = args->result - *before;
    entered.delete(&tid);
    if (grown <= 0 || grown < (s64)KS_PARAM(min_size))
        return 0;
    site.pid = pid_tgid >> 32;
    site.user_stack = stacks.get_stackid(args, BPF_F_USER_STACK);
    bpf_get_current_comm(&site.comm, sizeof(site.comm));
    sum = growth.lookup_or_try_init(&site, &zero);
    if (!sum)
        return 0;
    lock_xadd(&sum->count, 1);
    lock_xadd(&sum->bytes, grown);
    return 0;
}
