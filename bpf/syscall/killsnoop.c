/* Signals: sender, target and result, including signals from the kernel. Runs as tp_btf:
 * task_structs are read directly. */

#define FROM_PROCESS 1
#define FROM_KERNEL  2
#define SI_KERNEL    0x80 /* include/uapi/asm-generic/siginfo.h */

struct signal_t {
    u64 at_ns;
    KS_TASK;
    u32 target_pid;
    u32 target_tid;
    char target_comm[16];
    u32 signal;
    s32 code;
    u32 origin;
    u32 result;
    bool whole;
};

BPF_RINGBUF_OUTPUT(signals, 8);

/* Two small numbers mark signals without information: 0 from a process, 1 from the kernel. */
static inline s32 code_of(struct kernel_siginfo *info)
{
    s32 code = 0;

    if ((u64)info == 1)
        return SI_KERNEL;
    if (info)
        bpf_probe_read_kernel(&code, sizeof(code), &info->si_code);
    return code;
}

/* signal_generate(signal, info, task, group, result) */
int on_signal(u64 *ctx)
{
    struct task_struct *target = (struct task_struct *)ctx[2];
    struct signal_t sent = {.at_ns = bpf_ktime_get_ns(), .signal = ctx[0]};

    if (KS_PARAM(signal) && KS_PARAM(signal) != sent.signal)
        return 0;
    sent.code = code_of((struct kernel_siginfo *)ctx[1]);
    sent.origin = sent.code <= 0 ? FROM_PROCESS : FROM_KERNEL;
    if (KS_PARAM(origin) && KS_PARAM(origin) != sent.origin)
        return 0;
    KS_SET_TASK(&sent);
    if (!KS_KEEP_CURRENT() && !KS_KEEP_TASK(target))
        return 0;
    sent.target_pid = target->tgid;
    sent.target_tid = target->pid;
    bpf_probe_read_kernel_str(sent.target_comm, sizeof(sent.target_comm), target->comm);
    sent.whole = ctx[3];
    sent.result = ctx[4];
    signals.ringbuf_output(&sent, sizeof(sent), 0);
    return 0;
}
