/* Pages that reads found in the page cache, and those that had to be loaded first. A page that a
 * task adds to the cache during a read is a miss if it is in the requested range, otherwise
 * readahead: the kernel reads ahead in the context of the reader. */

struct read_t {
    u64 position;
    u64 first; /* requested pages: [first, last] */
    u64 last;
    u64 missed;
    u64 ahead;
    struct file *file;
};

struct reader_t {
    u64 at_ns;
    u32 pid;
    char comm[16];
    char file[64];
    u32 unused;
};

struct pages_t {
    u64 hits;
    u64 misses;
    u64 ahead;
    u64 bytes;
};

BPF_HASH(reading, u32, struct read_t);
BPF_HASH(pages, struct reader_t, struct pages_t);

/* A count of 0 means unknown: readv and similar calls. */
static inline int enter(u32 fd, s64 position, u64 count)
{
    struct read_t read = {.file = ks_file(fd)};
    u32 tid = bpf_get_current_pid_tgid();

    if (!read.file || !ks_is_regular(read.file) || ks_u32(&read.file->f_flags) & O_DIRECT)
        return 0;
    read.position = position < 0 ? ks_u64(&read.file->f_pos) : position;
    read.first = read.position >> PAGE_SHIFT;
    read.last = count ? (read.position + count - 1) >> PAGE_SHIFT : -1ULL;
    reading.update(&tid, &read);
    return 0;
}

int on_read(struct ks_sys_enter *args)
{
    return enter(args->args[0], -1, args->args[2]);
}

int on_pread(struct ks_sys_enter *args)
{
    return enter(args->args[0], args->args[3], args->args[2]);
}

int on_readv(struct ks_sys_enter *args)
{
    return enter(args->args[0], -1, 0);
}

int on_preadv(struct ks_sys_enter *args)
{
    return enter(args->args[0], args->args[3], 0);
}

int on_add(struct tracepoint__filemap__mm_filemap_add_to_page_cache *args)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct read_t *read = reading.lookup(&tid);
    u64 from, to, first, last, wanted = 0;

    if (!read)
        return 0;
    first = args->index;
    last = first + (1ULL << args->order) - 1;
    from = first > read->first ? first : read->first;
    to = last < read->last ? last : read->last;
    if (from <= to)
        wanted = to - from + 1;
    read->missed += wanted;
    read->ahead += last - first + 1 - wanted;
    return 0;
}

static inline void set_reader(struct reader_t *reader, struct file *file)
{
    u64 now = bpf_ktime_get_ns();

    reader->at_ns = KS_PARAM(every) ? now - now % KS_PARAM(every) : 0;
    if (KS_PARAM(by) == 1) {
        reader->pid = bpf_get_current_pid_tgid() >> 32;
        bpf_get_current_comm(&reader->comm, sizeof(reader->comm));
    }
    if (KS_PARAM(by) == 2)
        ks_file_name(reader->file, sizeof(reader->file), file);
}

int on_exit(struct ks_sys_exit *args)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct read_t *found = reading.lookup(&tid);
    struct pages_t zero = {}, *sum;
    struct reader_t reader = {};
    u64 asked;

    if (!found)
        return 0;
    struct read_t read = *found;
    reading.delete(&tid);
    if (args->result <= 0)
        return 0;
    asked = ((read.position + args->result - 1) >> PAGE_SHIFT) - read.first + 1;
    if (read.missed > asked) { /* if the count was unknown */
        read.ahead += read.missed - asked;
        read.missed = asked;
    }
    set_reader(&reader, read.file);
    sum = pages.lookup_or_try_init(&reader, &zero);
    if (!sum)
        return 0;
    lock_xadd(&sum->hits, asked - read.missed);
    lock_xadd(&sum->misses, read.missed);
    lock_xadd(&sum->ahead, read.ahead);
    lock_xadd(&sum->bytes, args->result);
    return 0;
}
