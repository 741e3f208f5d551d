/* Write-back of dirty pages: which disk, why, how many pages and how long. */

struct round_t {
    u64 at_ns;
    s64 pages;
};

struct writeback_t {
    u64 at_ns;
    u64 duration_ns;
    s64 bytes;
    u32 device;
    u32 reason;
    u32 sync;
    u32 unused;
};

BPF_HASH(begun, u32, struct round_t);
BPF_RINGBUF_OUTPUT(rounds, 8);

int on_start(u64 *ctx)
{
    struct wb_writeback_work *work = (struct wb_writeback_work *)ctx[1];
    struct round_t round = {.at_ns = bpf_ktime_get_ns(), .pages = work->nr_pages};
    u32 tid = bpf_get_current_pid_tgid();

    begun.update(&tid, &round);
    return 0;
}

int on_written(u64 *ctx)
{
    struct bdi_writeback *wb = (struct bdi_writeback *)ctx[0];
    struct wb_writeback_work *work = (struct wb_writeback_work *)ctx[1];
    u32 tid = bpf_get_current_pid_tgid();
    struct round_t *round = begun.lookup(&tid);
    struct writeback_t written = {};

    if (!round)
        return 0;
    written.at_ns = round->at_ns;
    written.duration_ns = bpf_ktime_get_ns() - round->at_ns;
    written.bytes = (round->pages - work->nr_pages) * PAGE_SIZE;
    begun.delete(&tid);
    written.device = wb->bdi->owner->devt;
    written.reason = work->reason;
    written.sync = work->sync_mode;
    if (KS_PARAM(disk) && KS_PARAM(disk) != written.device)
        return 0;
    if (written.bytes > 0 || KS_PARAM(empty))
        rounds.ringbuf_output(&written, sizeof(written), 0);
    return 0;
}
