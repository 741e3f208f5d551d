/* Processes and threads created: by whom and how. Runs as tp_btf: task_structs are read
 * directly. */

#define MADE_FORK   1
#define MADE_VFORK  2
#define MADE_SHARED 3
#define MADE_THREAD 4

struct fork_t {
    u64 at_ns;
    u64 flags;
    KS_TASK;
    u32 child_pid;
    u32 child_tid;
    u32 kind;
    bool namespaces;
};

BPF_RINGBUF_OUTPUT(forks, 8);

/* task_newtask(task, clone_flags), in the context of the task that creates it */
int on_task(u64 *ctx)
{
    struct task_struct *child = (struct task_struct *)ctx[0];
    struct fork_t fork = {.at_ns = bpf_ktime_get_ns(), .flags = ctx[1], .kind = MADE_FORK};

    if (fork.flags & CLONE_THREAD && !KS_PARAM(threads))
        return 0;
    if (fork.flags & CLONE_THREAD)
        fork.kind = MADE_THREAD;
    else if (fork.flags & CLONE_VFORK)
        fork.kind = MADE_VFORK;
    else if (fork.flags & CLONE_VM)
        fork.kind = MADE_SHARED;
    fork.namespaces = fork.flags & (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET);
    fork.child_pid = child->tgid;
    fork.child_tid = child->pid;
    KS_SET_TASK(&fork);
    forks.ringbuf_output(&fork, sizeof(fork), 0);
    return 0;
}
