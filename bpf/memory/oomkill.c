/* Processes that the kernel kills because memory ran out. The victim is read when its signal is
 * sent, which happens first: the event with the reason differs between kernels. */

#define SIGKILL_NUMBER 9
#define FROM_KERNEL    1 /* SEND_SIG_PRIV, include/linux/signal.h */

enum { FILE_PAGES, ANON_PAGES, SWAP_ENTRIES, SHMEM_PAGES }; /* include/linux/mm_types_task.h */

struct victim_t {
    u64 at_ns;
    u64 total_bytes;
    u64 anon_bytes;
    u64 file_bytes;
    u64 shmem_bytes;
    s32 score_adjustment;
    u32 pid;
    u32 tid;
    u32 uid;
    u32 asked_by;
    u32 wanted; /* by the run's filters */
    char comm[16];
    char asking_comm[16];
    u32 unused;
};

/* struct oom:mark_victim: the part that all kernels have. */
struct mark_t {
    u64 common;
    s32 pid;
};

BPF_TABLE("lru_hash", u32, struct victim_t, killed, 1024);
BPF_RINGBUF_OUTPUT(victims, 8);

/* A counter is a plain number up to 6.1, and then has several parts; the others are small. */
static inline u64 pages(struct mm_struct *mm, u32 which)
{
    u64 stride = sizeof(mm->rss_stat) / 4;
    s64 count = ks_u64((void *)&mm->rss_stat + which * stride +
                       (stride > 8 ? offsetof(struct percpu_counter, count) : 0));

    return count > 0 ? count * PAGE_SIZE : 0;
}

/* signal_generate(signal, info, task, group, result) */
int on_signal(u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[2];
    struct victim_t victim = {};
    u32 killer = bpf_get_current_pid_tgid();
    struct mm_struct *mm;

    if ((s32)ctx[0] != SIGKILL_NUMBER || ctx[1] != FROM_KERNEL)
        return 0;
    victim.pid = task->tgid;
    victim.tid = task->pid;
    victim.uid = task->cred->uid.val;
    bpf_probe_read_kernel_str(victim.comm, sizeof(victim.comm), task->comm);
    victim.score_adjustment = task->signal->oom_score_adj;
    victim.wanted = KS_KEEP_TASK(task);
    mm = task->mm;
    if (mm) {
        victim.total_bytes = ks_u64(&mm->total_vm) * PAGE_SIZE;
        victim.anon_bytes = pages(mm, ANON_PAGES);
        victim.file_bytes = pages(mm, FILE_PAGES);
        victim.shmem_bytes = pages(mm, SHMEM_PAGES);
    }
    killed.update(&killer, &victim);
    return 0;
}

/* For a victim that was already exiting, and so got no signal, only the id can be compared. */
static inline bool is_wanted(u32 pid)
{
    if (KS_PARAM(filter_uid) || KS_PARAM(filter_comm_0) || KS_PARAM(filter_cgroup))
        return false;
    return !KS_PARAM(filter_pid) || KS_PARAM(filter_pid) == pid;
}

int on_victim(struct mark_t *args)
{
    u32 killer = bpf_get_current_pid_tgid();
    struct victim_t *found = killed.lookup(&killer);
    struct victim_t victim = {.pid = args->pid, .tid = args->pid};

    if (found && found->tid == args->pid)
        victim = *found;
    else
        victim.wanted = is_wanted(args->pid);
    if (!victim.wanted)
        return 0;
    victim.at_ns = bpf_ktime_get_ns();
    victim.asked_by = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&victim.asking_comm, sizeof(victim.asking_comm));
    victims.ringbuf_output(&victim, sizeof(victim), 0);
    return 0;
}
