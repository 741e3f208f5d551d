/* The bpf() system call: programs loaded, maps created, attachments, and results. */

#define NAME_BYTES 16

#define PROG_TYPE_AT 0 /* offsets in union bpf_attr, include/uapi/linux/bpf.h */
#define PROG_NAME_AT 48
#define MAP_TYPE_AT  0
#define MAP_NAME_AT  28

struct use_t {
    u64 at_ns;
    u64 duration_ns;
    KS_TASK;
    s32 command;
    s32 prog_type;
    s32 map_type;
    s32 result;
    char name[NAME_BYTES];
};

BPF_HASH(entered, u32, struct ks_call);
BPF_RINGBUF_OUTPUT(uses, 8);

/* Commands that change what is loaded, unlike those that read and write a map's entries or look
 * something up. */
static inline bool changes(u32 command)
{
    switch (command) {
    case BPF_MAP_CREATE:
    case BPF_PROG_LOAD:
    case BPF_OBJ_PIN:
    case BPF_PROG_ATTACH:
    case BPF_PROG_DETACH:
    case BPF_RAW_TRACEPOINT_OPEN:
    case BPF_BTF_LOAD:
    case BPF_MAP_FREEZE:
    case BPF_LINK_CREATE:
    case BPF_LINK_UPDATE:
    case BPF_LINK_DETACH:
    case BPF_PROG_BIND_MAP:
        return true;
    }
    return false;
}

/* bpf(command, attributes, size) */
int on_enter(struct ks_sys_enter *args)
{
    if (KS_PARAM(commands) == 0 && !changes(args->args[0]))
        return 0;
    KS_ENTER(entered, args, 3);
    return 0;
}

static inline void read_attributes(struct use_t *use, u64 attributes)
{
    if (use->command == BPF_PROG_LOAD) {
        bpf_probe_read_user(&use->prog_type, 4, (void *)attributes + PROG_TYPE_AT);
        bpf_probe_read_user_str(use->name, NAME_BYTES, (void *)attributes + PROG_NAME_AT);
    } else if (use->command == BPF_MAP_CREATE) {
        bpf_probe_read_user(&use->map_type, 4, (void *)attributes + MAP_TYPE_AT);
        bpf_probe_read_user_str(use->name, NAME_BYTES, (void *)attributes + MAP_NAME_AT);
    }
}

int on_exit(struct ks_sys_exit *args)
{
    struct use_t use = {.prog_type = -1, .map_type = -1};
    struct ks_call call;

    if (!KS_LEAVE(entered, &call) || (KS_PARAM(failed) && args->result >= 0))
        return 0;
    use.at_ns = call.at_ns;
    use.duration_ns = bpf_ktime_get_ns() - call.at_ns;
    use.command = call.args[0];
    use.result = args->result;
    KS_SET_TASK(&use);
    read_attributes(&use, call.args[1]);
    uses.ringbuf_output(&use, sizeof(use), 0);
    return 0;
}
