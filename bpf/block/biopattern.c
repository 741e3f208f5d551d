/* Sequential and random disk access. Runs as tp_btf: requests are read directly. */

struct disk_t {
    u32 disk;
    u32 operation;
};

struct pattern_t {
    u64 sequential;
    u64 random;
    u64 sequential_bytes;
    u64 random_bytes;
};

BPF_HASH(next_sector, u32, u64, 1024);
BPF_HASH(patterns, struct disk_t, struct pattern_t, 1024);

/* block_rq_issue(request) */
int on_issue(u64 *ctx)
{
    struct request *request = (struct request *)ctx[0];
    struct pattern_t zero = {}, *pattern;
    u32 bytes = request->__data_len, disk = KS_DISK(request);
    u64 sector = request->__sector, end = sector + bytes / 512, *expected;
    struct disk_t key = {.disk = disk, .operation = request->cmd_flags & 0xff};

    if (!bytes || !KS_OF_DISK(request))
        return 0;
    expected = next_sector.lookup(&disk);
    bool sequential = expected && *expected == sector;

    next_sector.update(&disk, &end);
    if (!expected)
        return 0;
    pattern = patterns.lookup_or_try_init(&key, &zero);
    if (!pattern)
        return 0;
    lock_xadd(sequential ? &pattern->sequential : &pattern->random, 1);
    lock_xadd(sequential ? &pattern->sequential_bytes : &pattern->random_bytes, bytes);
    return 0;
}
