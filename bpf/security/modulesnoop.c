/* Kernel modules: loaded, removed and requested, including failures. */

#define NAME_BYTES 64

#define LOAD    1
#define REMOVE  2
#define REQUEST 3

#ifdef __NR_finit_module
#define INIT   __NR_init_module
#define FINIT  __NR_finit_module
#define DELETE __NR_delete_module
#else /* machines other than x86_64: asm-generic/unistd.h */
#define INIT   105
#define FINIT  273
#define DELETE 106
#endif

struct event_t {
    u64 at_ns;
    u64 duration_ns;
    KS_TASK;
    u32 event;
    s32 result;
    char name[NAME_BYTES];
};

struct loading_t {
    char name[NAME_BYTES];
};

BPF_HASH(entered, u32, struct ks_call);
BPF_HASH(loading, u32, struct loading_t);
BPF_RINGBUF_OUTPUT(events, 8);

/* All system calls of the machine pass here if its kernel was built without modules. */
int on_enter(struct ks_sys_enter *args)
{
    s32 number = args->number;

    if (number == INIT || number == FINIT || number == DELETE)
        KS_ENTER(entered, args, 1);
    return 0;
}

static inline void read_name(struct event_t *event, struct ks_call *call)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct loading_t *known = loading.lookup(&tid);
    struct file *file;

    event->name[0] = 0;
    if (known) {
        __builtin_memcpy(event->name, known->name, NAME_BYTES);
        loading.delete(&tid);
    } else if (call->number == DELETE) {
        bpf_probe_read_user_str(event->name, NAME_BYTES, (void *)call->args[0]);
    } else if (call->number == FINIT) {
        file = ks_file(call->args[0]);
        if (file)
            ks_file_name(event->name, NAME_BYTES, file);
    }
}

int on_exit(struct ks_sys_exit *args)
{
    struct event_t event = {};
    struct ks_call call;

    if (!KS_LEAVE(entered, &call))
        return 0;
    event.at_ns = call.at_ns;
    event.duration_ns = bpf_ktime_get_ns() - call.at_ns;
    event.event = call.number == DELETE ? REMOVE : LOAD;
    event.result = args->result;
    KS_SET_TASK(&event);
    read_name(&event, &call);
    events.ringbuf_output(&event, sizeof(event), 0);
    return 0;
}

/* module_load(module), within the call that loads it */
int on_load(u64 *ctx)
{
    struct module *module = (struct module *)ctx[0];
    struct loading_t known = {};
    u32 tid = bpf_get_current_pid_tgid();

    bpf_probe_read_kernel_str(known.name, NAME_BYTES, module->name);
    loading.update(&tid, &known);
    return 0;
}

/* module_request(name, wait, address): the kernel requests a module, in the context of a task that
 * used a missing feature */
int on_request(u64 *ctx)
{
    struct event_t event = {.at_ns = bpf_ktime_get_ns(), .event = REQUEST};

    bpf_probe_read_kernel_str(event.name, NAME_BYTES, (void *)ctx[0]);
    KS_SET_TASK(&event);
    events.ringbuf_output(&event, sizeof(event), 0);
    return 0;
}
