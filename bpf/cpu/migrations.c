/* Threads that the scheduler moves from one CPU to another. Runs as tp_btf: task_structs are read
 * directly. */

enum { BY_PID, BY_COMM, ALL };

struct move_t {
    char comm[16];
    u32 pid;
    u32 from;
    u32 to;
};

BPF_HASH(moves, struct move_t, u64);

/* sched_migrate_task(task, cpu): also fires if the task is already on that CPU. */
int on_migrate(u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[0];
    struct move_t move = {.from = task->thread_info.cpu, .to = ctx[1]};

    if (move.from == move.to || !KS_KEEP_TASK(task))
        return 0;
    if (KS_PARAM(by) == BY_PID)
        move.pid = task->tgid;
    if (KS_PARAM(by) != ALL)
        bpf_probe_read_kernel_str(move.comm, sizeof(move.comm), task->comm);
    KS_COUNT(moves, &move);
    return 0;
}
