/* Long waits for a CPU: which thread waited, and which had the CPU. Runs as tp_btf: task_structs
 * are read directly. */

struct wait_t {
    u64 at_ns;
    u64 waited_ns;
    u32 pid;
    u32 tid;
    u32 cpu;
    u32 before_pid;
    char comm[16];
    char before_comm[16];
};

BPF_HASH(waiting, u32, u64, 65536);
BPF_RINGBUF_OUTPUT(waits, 8);

/* sched_wakeup(task) */
int on_wakeup(u64 *ctx)
{
    KS_WAITS(waiting, (struct task_struct *)ctx[0]);
    return 0;
}

/* sched_switch(preempt, prev, next): the wait of next ends. */
int on_switch(u64 *ctx)
{
    struct task_struct *prev = (struct task_struct *)ctx[1];
    struct task_struct *next = (struct task_struct *)ctx[2];
    struct wait_t wait = {};
    u32 tid = next->pid;

    KS_PUT_BACK(waiting, ctx[0], prev);
    wait.waited_ns = KS_END(waiting, &tid);
    if (!wait.waited_ns || wait.waited_ns < KS_PARAM(min_us) * 1000)
        return 0;
    wait.at_ns = bpf_ktime_get_ns();
    wait.pid = next->tgid;
    wait.tid = tid;
    wait.cpu = bpf_get_smp_processor_id();
    wait.before_pid = prev->tgid;
    bpf_probe_read_kernel_str(wait.comm, sizeof(wait.comm), next->comm);
    bpf_probe_read_kernel_str(wait.before_comm, sizeof(wait.before_comm), prev->comm);
    waits.ringbuf_output(&wait, sizeof(wait), 0);
    return 0;
}
