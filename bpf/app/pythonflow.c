/* Python's functions as they return, from the interpreter's own marker: its arguments are the
 * code's file, the function and the line. */

#define FILE_BYTES     96
#define FUNCTION_BYTES 64

struct code_t {
    u64 file;
    u64 function;
    u32 pid;
    u32 unused;
};

struct function_t {
    u64 count;
    char file[FILE_BYTES];
    char function[FUNCTION_BYTES];
};

struct return_t {
    u64 at_ns;
    u32 line;
    KS_TASK;
    char file[FILE_BYTES];
    char function[FUNCTION_BYTES];
};

BPF_HASH(functions, struct code_t, struct function_t);
BPF_RINGBUF_OUTPUT(returns, 8);

/* A function's name is read once: the interpreter keeps it as long as the code. */
static inline void add(struct code_t *code)
{
    struct function_t *function = functions.lookup(code);

    if (!function) {
        struct function_t first = {};

        bpf_probe_read_user_str(first.file, sizeof(first.file), (void *)code->file);
        bpf_probe_read_user_str(first.function, sizeof(first.function), (void *)code->function);
        function = functions.lookup_or_try_init(code, &first);
        if (!function)
            return;
    }
    lock_xadd(&function->count, 1);
}

static inline void show(struct code_t *code, u32 line)
{
    struct return_t *event = returns.ringbuf_reserve(sizeof(struct return_t));

    if (!event)
        return;
    event->at_ns = bpf_ktime_get_ns();
    event->line = line;
    KS_SET_TASK(event);
    event->file[0] = event->function[0] = 0;
    bpf_probe_read_user_str(event->file, sizeof(event->file), (void *)code->file);
    bpf_probe_read_user_str(event->function, sizeof(event->function), (void *)code->function);
    returns.ringbuf_submit(event, 0);
}

int on_return(struct pt_regs *ctx)
{
    struct code_t code = {.pid = bpf_get_current_pid_tgid() >> 32};
    u32 line = 0;

    bpf_usdt_readarg(1, ctx, &code.file);
    bpf_usdt_readarg(2, ctx, &code.function);
    if (KS_PARAM(show) == 0) {
        add(&code);
        return 0;
    }
    bpf_usdt_readarg(3, ctx, &line);
    show(&code, line);
    return 0;
}
