/* Run queue length of each CPU, sampled. The number is the run queue's own, reached through the
 * running thread's fair queue: every kernel since 4.0 has that path. */

struct sample_t {
    u32 cpu;
    u32 runnable;
};

BPF_HASH(samples, struct sample_t, u64);

int on_sample(struct bpf_perf_event_data *ctx)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct cfs_rq *fair = ks_pointer(&task->se.cfs_rq);
    struct rq *queue = ks_pointer(&fair->rq);
    struct sample_t sample = {.runnable = ks_u32(&queue->nr_running)};

    if (KS_PARAM(by))
        sample.cpu = bpf_get_smp_processor_id();
    KS_COUNT(samples, &sample);
    return 0;
}
