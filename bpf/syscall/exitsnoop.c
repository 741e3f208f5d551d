/* Processes that ended: exit code or signal, and age. Runs as tp_btf: task_structs are read
 * directly. */

#define GROUP_EXIT 4 /* SIGNAL_GROUP_EXIT, include/linux/sched/signal.h */
#define CORE       0x80

struct end_t {
    u64 at_ns;
    u64 age_ns;
    KS_TASK;
    u32 ppid;
    u32 exit_code;
    u32 signal;
    bool core;
};

BPF_RINGBUF_OUTPUT(ends, 8);

/* What wait(2) will return: for a process, how exit_group or a signal ended it as a whole;
 * otherwise how its first thread ended. */
static inline u32 status_of(struct task_struct *task, bool whole)
{
    struct task_struct *leader = task->group_leader;

    if (task->signal->flags & GROUP_EXIT)
        return task->signal->group_exit_code;
    return whole ? leader->exit_code : task->exit_code;
}

/* sched_process_exit(task): `live` is the number of the process's threads that have not ended
 * yet. */
int on_exit(u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[0];
    struct task_struct *leader = task->group_leader;
    bool whole = task->signal->live.counter == 0;
    u32 status = status_of(task, whole);
    struct end_t end = {.at_ns = bpf_ktime_get_ns()};

    if (!whole && !KS_PARAM(threads))
        return 0;
    if (KS_PARAM(failed) && !status)
        return 0;
    KS_SET_TASK(&end);
    if (whole && !KS_PARAM(threads)) {
        end.age_ns = end.at_ns - leader->start_time;
        bpf_probe_read_kernel_str(end.comm, sizeof(end.comm), leader->comm);
    } else {
        end.age_ns = end.at_ns - task->start_time;
    }
    end.ppid = task->real_parent->tgid;
    end.exit_code = status >> 8;
    end.signal = status & 0x7f;
    end.core = status & CORE;
    ends.ringbuf_output(&end, sizeof(end), 0);
    return 0;
}
