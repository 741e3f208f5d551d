/* Memory compaction: pages moved to make contiguous memory. */

struct compaction_t {
    u64 at_ns;
    u64 duration_ns;
    u64 migrate_scanned;
    u64 free_scanned;
    s32 order;
    s32 status;
    u32 sync;
    KS_TASK;
    char zone[16];
};

BPF_HASH(begun, u32, u64);
BPF_RINGBUF_OUTPUT(compactions, 8);

int on_begin(void *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();

    KS_BEGIN(begun, &tid);
    return 0;
}

/* mm_compaction_end(control, zone_start, zone_end, sync, status) */
int on_end(u64 *ctx)
{
    struct compact_control *control = (struct compact_control *)ctx[0];
    struct compaction_t compaction = {.status = ctx[4], .sync = ctx[3] & 1};
    u32 tid = bpf_get_current_pid_tgid();

    compaction.duration_ns = KS_END(begun, &tid);
    if (!compaction.duration_ns || compaction.duration_ns < KS_PARAM(min_us) * 1000)
        return 0;
    compaction.at_ns = bpf_ktime_get_ns() - compaction.duration_ns;
    compaction.migrate_scanned = control->total_migrate_scanned;
    compaction.free_scanned = control->total_free_scanned;
    compaction.order = control->order;
    bpf_probe_read_kernel_str(compaction.zone, sizeof(compaction.zone), control->zone->name);
    KS_SET_TASK(&compaction);
    compactions.ringbuf_output(&compaction, sizeof(compaction), 0);
    return 0;
}
