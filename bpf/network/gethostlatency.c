/* Calls of the C library's resolver: name, result and duration. */

#define CALL_GETADDRINFO    0
#define CALL_GETHOSTBYNAME  1
#define CALL_GETHOSTBYNAME2 2
#define NOT_FOUND           1 /* gethostbyname returns no number */

struct call_t {
    u64 at_ns;
    u64 host;
    u64 service;
};

struct lookup_t {
    u64 at_ns;
    u64 duration_ns;
    KS_TASK;
    u32 call;
    s32 result;
    bool truncated;
    char host[128];
    char service[16];
};

BPF_HASH(entered, u32, struct call_t);
BPF_RINGBUF_OUTPUT(lookups, 8);

static inline int enter(u64 host, u64 service)
{
    struct call_t call = {.at_ns = bpf_ktime_get_ns(), .host = host, .service = service};
    u32 tid = bpf_get_current_pid_tgid();

    entered.update(&tid, &call);
    return 0;
}

/* The names are read here, not at the entry: by now their pages are loaded. */
static inline int leave(u32 which, s32 result)
{
    struct lookup_t lookup = {.call = which, .result = result};
    u64 now = bpf_ktime_get_ns();
    u32 tid = bpf_get_current_pid_tgid();
    struct call_t *call = entered.lookup(&tid);

    if (!call)
        return 0;
    lookup.at_ns = call->at_ns;
    lookup.duration_ns = now - call->at_ns;
    lookup.truncated = bpf_probe_read_user_str(lookup.host, sizeof(lookup.host),
                                               (void *)call->host) == sizeof(lookup.host);
    bpf_probe_read_user_str(lookup.service, sizeof(lookup.service), (void *)call->service);
    entered.delete(&tid);
    if (lookup.duration_ns < KS_PARAM(min_ms) * 1000000 || (KS_PARAM(failed) && !result))
        return 0;
    KS_SET_TASK(&lookup);
    lookups.ringbuf_output(&lookup, sizeof(lookup), 0);
    return 0;
}

int on_getaddrinfo(struct pt_regs *ctx)
{
    return enter(PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
}

int on_gethostbyname(struct pt_regs *ctx)
{
    return enter(PT_REGS_PARM1(ctx), 0);
}

int on_getaddrinfo_return(struct pt_regs *ctx)
{
    return leave(CALL_GETADDRINFO, PT_REGS_RC(ctx));
}

int on_gethostbyname_return(struct pt_regs *ctx)
{
    return leave(CALL_GETHOSTBYNAME, PT_REGS_RC(ctx) ? 0 : NOT_FOUND);
}

int on_gethostbyname2_return(struct pt_regs *ctx)
{
    return leave(CALL_GETHOSTBYNAME2, PT_REGS_RC(ctx) ? 0 : NOT_FOUND);
}
