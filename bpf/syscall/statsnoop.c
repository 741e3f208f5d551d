/* Files queried by name: stat and related calls, with the result. */

#define PATH_BYTES 256

struct query_t {
    u64 at_ns;
    u64 duration_ns;
    KS_TASK;
    s32 syscall;
    s32 result;
    bool truncated;
    char path[PATH_BYTES];
};

BPF_TASK_STORAGE(entered, struct ks_call);
BPF_RINGBUF_OUTPUT(queries, 8);

/* The path is the first argument of these, and the second of the `...at` calls: it is kept in
 * args[0]. */
int on_path(struct ks_sys_enter *args)
{
    KS_OWN_ENTER(entered, args, 1);
    return 0;
}

int on_path_at(struct ks_sys_enter *args)
{
    struct ks_sys_enter shifted = {.number = args->number, .args = {args->args[1]}};

    KS_OWN_ENTER(entered, &shifted, 1);
    return 0;
}

/* The path is read here, not at the entry: by now the kernel has loaded its page. */
int on_exit(struct ks_sys_exit *args)
{
    struct query_t *query;
    struct ks_call call;
    u64 duration;

    if (!KS_OWN_LEAVE(entered, &call))
        return 0;
    duration = bpf_ktime_get_ns() - call.at_ns;
    if ((KS_PARAM(failed) && args->result >= 0) || duration < KS_PARAM(min_us) * 1000)
        return 0;
    query = queries.ringbuf_reserve(sizeof(struct query_t));
    if (!query)
        return 0;
    query->at_ns = call.at_ns;
    query->duration_ns = duration;
    query->syscall = call.number;
    query->result = args->result;
    KS_SET_TASK(query);
    query->path[0] = 0;
    query->truncated =
        bpf_probe_read_user_str(query->path, PATH_BYTES, (void *)call.args[0]) == PATH_BYTES;
    queries.ringbuf_submit(query, 0);
    return 0;
}
