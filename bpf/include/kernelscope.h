/* KernelScope's prelude, placed before every program. Parts that a program does not use cost
 * nothing.
 *
 * KS_PARAM(name) is a u64 set by the run (0 if not set). It becomes an immediate when the program
 * is loaded, so the verifier removes a branch on an unset one. */

#define KS_INLINE static inline __attribute__((always_inline, unused))

/* --- histograms --------------------------------------------------------------------------------
 * Log-linear: 8 slots per octave, so a value is at most 1/8 of its size above its slot's lower
 * bound. Slot v is v itself below 8; above, [(8 + slot % 8) << k, +(1 << k)) with
 * k = slot / 8 - 1. */

#define KS_SLOTS 496 /* enough for every u64 */

KS_INLINE u32 ks_slot(u64 value)
{
    u64 rest = value;
    u32 octave = 0;

    if (value < 8)
        return value;
    if (rest >> 32) {
        octave += 32;
        rest >>= 32;
    }
    if (rest >> 16) {
        octave += 16;
        rest >>= 16;
    }
    if (rest >> 8) {
        octave += 8;
        rest >>= 8;
    }
    if (rest >> 4) {
        octave += 4;
        rest >>= 4;
    }
    if (rest >> 2) {
        octave += 2;
        rest >>= 2;
    }
    octave += rest >> 1;
    return (octave - 2) * 8 + ((value >> (octave - 3)) & 7);
}

/* KS_HISTOGRAM(name): one histogram. KS_HISTOGRAM(name, key_t): one for each key; the last member
 * of key_t is the slot. Count with KS_COUNT. In the keyed one all CPUs share a bucket (creating a
 * per-CPU hash takes twenty times as long). */
#define KS_HISTOGRAM_PLAIN(name)               BPF_PERCPU_ARRAY(name, u64, KS_SLOTS)
#define KS_HISTOGRAM_KEYED(name, key_t)        BPF_HASH(name, key_t, u64)
#define KS_HISTOGRAM_CHOOSE(a, b, chosen, ...) chosen
#define KS_HISTOGRAM(...)                                                                          \
    KS_HISTOGRAM_CHOOSE(__VA_ARGS__, KS_HISTOGRAM_KEYED, KS_HISTOGRAM_PLAIN, )(__VA_ARGS__)

/* --- tables ------------------------------------------------------------------------------------
 * `table` is the name of a BPF_HASH, `key` a pointer to its key. The agent expands these itself,
 * before BCC sees them: use them as statements or as values, but not in your own macros. */

/* Adds to a u64, atomically: no CPU's count is lost. */
#define KS_ADD(table, key, amount)                                                                 \
    ({                                                                                             \
        u64 ks_zero = 0, *ks_sum = table.lookup_or_try_init(key, &ks_zero);                        \
        if (ks_sum)                                                                                \
            lock_xadd(ks_sum, (u64)(amount));                                                      \
    })

#define KS_COUNT(table, key) KS_ADD(table, key, 1)

/* A clock for each key, in a BPF_HASH(table, key_t, u64): KS_BEGIN starts it; KS_END stops it and
 * returns the elapsed ns, or 0 if it was not started. An entry stays until it is deleted: writing
 * in place costs a third of insert and delete. */
#define KS_BEGIN(table, key)                                                                       \
    ({                                                                                             \
        u64 ks_now = bpf_ktime_get_ns(), *ks_since = table.lookup(key);                            \
        if (ks_since)                                                                              \
            *ks_since = ks_now;                                                                    \
        else                                                                                       \
            table.update(key, &ks_now);                                                            \
    })

#define KS_END(table, key)                                                                         \
    ({                                                                                             \
        u64 ks_elapsed = 0, *ks_since = table.lookup(key);                                         \
        if (ks_since && *ks_since) {                                                               \
            ks_elapsed = bpf_ktime_get_ns() - *ks_since;                                           \
            *ks_since = 0;                                                                         \
        }                                                                                          \
        ks_elapsed;                                                                                \
    })

/* A task's entry in a BPF_TASK_STORAGE(table, type), for KS_TASK_NOW() or a hook's own task:
 * created if missing (KS_OWN), or 0 if missing (KS_OWN_IF_ANY). Costs half as much as a hash, and
 * is freed with the task. Linux 5.13 and later. */
#define KS_TASK_NOW()              ((struct task_struct *)bpf_get_current_task_btf())
#define KS_OWN(table, task)        table.task_storage_get(task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE)
#define KS_OWN_IF_ANY(table, task) table.task_storage_get(task, 0, 0)

/* KS_BEGIN and KS_END for a task, in a BPF_TASK_STORAGE(table, u64). */
#define KS_OWN_BEGIN(table, task)                                                                  \
    ({                                                                                             \
        u64 *ks_since = KS_OWN(table, task);                                                       \
        if (ks_since)                                                                              \
            *ks_since = bpf_ktime_get_ns();                                                        \
    })

#define KS_OWN_END(table, task)                                                                    \
    ({                                                                                             \
        u64 ks_elapsed = 0, *ks_since = KS_OWN_IF_ANY(table, task);                                \
        if (ks_since && *ks_since) {                                                               \
            ks_elapsed = bpf_ktime_get_ns() - *ks_since;                                           \
            *ks_since = 0;                                                                         \
        }                                                                                          \
        ks_elapsed;                                                                                \
    })

/* Events with their durations, in a BPF_HASH(table, key_t, struct ks_totals). */
struct ks_totals {
    u64 count;
    u64 total_ns;
    u64 max_ns;
};

/* Raises *max to value. Other CPUs may raise it meanwhile; three tries are two more than were ever
 * needed. */
KS_INLINE void ks_raise(u64 *max, u64 value)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 12, 0)
    /* No compare-and-swap: of two writes at once, the last one remains. */
    if (*max < value)
        *max = value;
#else
    u64 seen = *max;

    for (int i = 0; i < 3 && seen < value; i++) {
        u64 found = __sync_val_compare_and_swap(max, seen, value);

        if (found == seen)
            break;
        seen = found;
    }
#endif
}

#define KS_TOTAL(table, key, duration)                                                             \
    ({                                                                                             \
        struct ks_totals ks_zero = {}, *ks_sum = table.lookup_or_try_init(key, &ks_zero);          \
        if (ks_sum) {                                                                              \
            lock_xadd(&ks_sum->count, 1);                                                          \
            lock_xadd(&ks_sum->total_ns, (u64)(duration));                                         \
            ks_raise(&ks_sum->max_ns, duration);                                                   \
        }                                                                                          \
    })

/* The current task's stacks into record->kernel_stack and record->user_stack, as selected by the
 * parameter `stacks`, whose choices are both, user and kernel. traces: the name of a
 * BPF_STACK_TRACE. */
#define KS_STACKS(record, traces, context)                                                         \
    ({                                                                                             \
        (record)->kernel_stack = -1;                                                               \
        (record)->user_stack = -1;                                                                 \
        if (KS_PARAM(stacks) != 1)                                                                 \
            (record)->kernel_stack = traces.get_stackid(context, 0);                               \
        if (KS_PARAM(stacks) != 2)                                                                 \
            (record)->user_stack = traces.get_stackid(context, BPF_F_USER_STACK);                  \
    })

/* --- filters -----------------------------------------------------------------------------------
 * For programs whose hook is about another task than the current one (`filters = "code"`).
 * KS_PARAM(filter_uid) is the uid + 1, because root is 0 and so is an unset parameter. */

KS_INLINE bool ks_keep(u32 tgid, u32 uid, const char *comm)
{
    u64 name[2] = {};

    if (KS_PARAM(filter_pid) && KS_PARAM(filter_pid) != tgid)
        return false;
    if (KS_PARAM(filter_uid) && KS_PARAM(filter_uid) != (u64)uid + 1)
        return false;
    if (KS_PARAM(filter_comm_0)) {
        /* not a plain copy: the kernel leaves old text after the NUL */
        bpf_probe_read_kernel_str(name, sizeof(name), comm);
        if (name[0] != KS_PARAM(filter_comm_0) || name[1] != KS_PARAM(filter_comm_1))
            return false;
    }
    return true;
}

/* --- reading the kernel's structs ----------------------------------------------------------------
 * For pointers that the verifier does not know; pointers from tp_btf hooks are read directly. */

/* The value that `pointer` points to; 0 if it cannot be read. Not for const members, nor for
 * expressions that BCC itself may rewrite, such as the target of a table's value: see
 * ks_pointer. */
#define KS_READ(pointer)                                                                           \
    ({                                                                                             \
        typeof(*(pointer)) ks_value = 0;                                                           \
        bpf_probe_read_kernel(&ks_value, sizeof(ks_value), pointer);                               \
        ks_value;                                                                                  \
    })

/* Whether a task is in the cgroup that the run is restricted to, or in one below it. */
KS_INLINE bool ks_in_cgroup(struct task_struct *task)
{
    struct css_set *set;
    struct cgroup *group;

    if (!KS_PARAM(filter_cgroup))
        return true;
    set = KS_READ(&task->cgroups);
    group = KS_READ(&set->dfl_cgrp);
    for (int level = 0; level < 16 && group; level++) {
        struct kernfs_node *node = KS_READ(&group->kn);
        struct cgroup_subsys_state *parent = KS_READ(&group->self.parent);

        if (KS_READ(&node->id) == KS_PARAM(filter_cgroup))
            return true;
        group = parent ? KS_READ(&parent->cgroup) : 0;
    }
    return false;
}

/* Whether a thread is among those that the run is restricted to. If there is a list of them, the
 * agent replaces this line with its own (agent/attach/task_tree.py). */
#define KS_IN_TREE(tid) true

/* Like ks_keep, for a task_struct from a tp_btf hook; the only one that supports cgroups and
 * trees. */
#define KS_KEEP_TASK(task)                                                                         \
    (ks_keep((task)->tgid, (task)->cred->uid.val, (task)->comm) && ks_in_cgroup(task) &&           \
     KS_IN_TREE((task)->pid))

/* The value at an address; 0 if it cannot be read. */
KS_INLINE u64 ks_u64(const void *from)
{
    u64 value = 0;

    bpf_probe_read_kernel(&value, sizeof(value), from);
    return value;
}

KS_INLINE u32 ks_u32(const void *from)
{
    u32 value = 0;

    bpf_probe_read_kernel(&value, sizeof(value), from);
    return value;
}

KS_INLINE void *ks_pointer(const void *from)
{
    return (void *)ks_u64(from);
}

/* The file of a task's descriptor; 0 if there is none. */
KS_INLINE struct file *ks_file_of(struct task_struct *task, u32 fd)
{
    struct fdtable *table = task->files->fdt;
    struct file **list = (struct file **)table->fd;

    return fd < table->max_fds ? ks_pointer(&list[fd]) : 0;
}

/* The same for the current process. */
KS_INLINE struct file *ks_file(u32 fd)
{
    return ks_file_of(KS_TASK_NOW(), fd);
}

#define KS_REGULAR 0100000 /* S_IFREG of S_IFMT 0170000, include/uapi/linux/stat.h */

KS_INLINE bool ks_is_regular(struct file *file)
{
    struct inode *inode = ks_pointer(&file->f_inode);

    return (ks_u32(&inode->i_mode) & 0170000) == KS_REGULAR;
}

KS_INLINE u32 ks_device(struct file *file)
{
    struct inode *inode = ks_pointer(&file->f_inode);
    struct super_block *super = ks_pointer(&inode->i_sb);

    return ks_u32(&super->s_dev);
}

/* The last part of a file's path, because the kernel keeps no whole paths. Returns like
 * bpf_probe_read_kernel_str. */
KS_INLINE s64 ks_file_name(char *name, u32 size, struct file *file)
{
    struct dentry *dentry = ks_pointer(&file->f_path.dentry);

    return bpf_probe_read_kernel_str(name, size, ks_pointer(&dentry->d_name.name));
}

/* A directory's path, as its task sees it, into `text` before KS_FOLDER_END; returns where it
 * starts. It is walked up to the task's root directory (fs->root: a chroot's, or that of the mount
 * namespace); at the root of a mount, it continues at its mount point. `text` has
 * KS_FOLDER_BYTES. A path that is too long or too deep loses its beginning. */
#define KS_FOLDER_END   768
#define KS_FOLDER_BYTES (KS_FOLDER_END + 256)
#define KS_FOLDER_DEPTH 40

KS_INLINE u64 ks_folder(char *text, struct task_struct *task, struct path *folder)
{
    struct fs_struct *fs = ks_pointer(&task->fs);
    struct dentry *end = ks_pointer(&fs->root.dentry), *entry = ks_pointer(&folder->dentry);
    struct vfsmount *end_mount = ks_pointer(&fs->root.mnt), *mount = ks_pointer(&folder->mnt);
    u64 at = KS_FOLDER_END;

    for (int i = 0; i < KS_FOLDER_DEPTH; i++) {
        struct dentry *parent = ks_pointer(&entry->d_parent);
        u64 length = ks_u32(&entry->d_name.len);

        if (entry == end && mount == end_mount)
            break;
        if (entry == ks_pointer(&mount->mnt_root) || entry == parent) {
            struct mount *outer = (struct mount *)((void *)mount - offsetof(struct mount, mnt));
            struct mount *above = ks_pointer(&outer->mnt_parent);

            if (above == outer)
                break;
            entry = ks_pointer(&outer->mnt_mountpoint);
            mount = (struct vfsmount *)((void *)above + offsetof(struct mount, mnt));
            continue;
        }
        if (at < length + 1)
            break;
        at -= length + 1;
        asm volatile("" : "+r"(at), "+r"(length)); /* or clang drops the bounds again */
        length &= 255;
        if (at >= KS_FOLDER_END)
            break;
        text[at] = '/';
        bpf_probe_read_kernel(&text[at + 1], length, ks_pointer(&entry->d_name.name));
        entry = parent;
    }
    return at;
}

/* The whole path of what a call names: `path` itself where it starts at the root, else below the
 * directory `fd`, or below the working directory for AT_FDCWD. Returns like
 * bpf_probe_read_kernel_str. text: KS_FOLDER_BYTES of a per-CPU array. */
KS_INLINE s64 ks_whole_path(char *to, u32 size, char *text, s32 fd, const void *path)
{
    struct task_struct *task = KS_TASK_NOW();
    char first = 0;
    u64 at;

    bpf_probe_read_user(&first, 1, path);
    if (first == '/' || !first)
        return bpf_probe_read_user_str(to, size, path);
    if (fd == -100) { /* AT_FDCWD */
        struct fs_struct *fs = ks_pointer(&task->fs);

        at = ks_folder(text, task, &fs->pwd);
    } else {
        struct file *folder = ks_file_of(task, fd);

        if (!folder)
            return bpf_probe_read_user_str(to, size, path);
        at = ks_folder(text, task, &folder->f_path);
    }
    text[KS_FOLDER_END] = '/';
    bpf_probe_read_user_str(&text[KS_FOLDER_END + 1], 255, path);
    asm volatile("" : "+r"(at));
    return at <= KS_FOLDER_END ? bpf_probe_read_kernel_str(to, size, &text[at]) : 0;
}

/* --- system calls ------------------------------------------------------------------------------
 * The record of tracepoint:syscalls:*, the same for every call. Declaring it here needs no tracefs
 * when compiling, and a call that a machine lacks stays optional. */

struct ks_sys_enter {
    u64 common;
    s64 number;
    u64 args[6];
};

struct ks_sys_exit {
    u64 common;
    s64 number;
    s64 result;
};

/* For tp_btf:sys_enter(regs, number) and tp_btf:sys_exit(regs, result), which see every call: one
 * program that checks the number first costs the traced call less than classic tracepoints do. At
 * the exit the registers still hold the number and the first argument. */
KS_INLINE u32 ks_number(struct pt_regs *regs)
{
#ifdef bpf_target_arm64
    return regs->syscallno;
#else
    return regs->orig_ax;
#endif
}

KS_INLINE u64 ks_first(struct pt_regs *regs)
{
#ifdef bpf_target_arm64
    return regs->orig_x0;
#else
    return regs->di;
#endif
}

/* Whether a task is in a call of a 32-bit program, which numbers its calls differently. */
KS_INLINE bool ks_is_32bit(struct task_struct *task)
{
#ifdef bpf_target_arm64
    return task->thread_info.flags >> 22 & 1; /* TIF_32BIT */
#else
    return task->thread_info.status & 2; /* TS_COMPAT */
#endif
}

/* A call's number as a column of kind "syscall" reads it: those of 32-bit programs are marked. */
#define KS_OF_32BIT (1 << 29)

KS_INLINE u32 ks_syscall(struct task_struct *task, u32 number)
{
    return ks_is_32bit(task) ? number | KS_OF_32BIT : number;
}

/* The kind of file operation that a call is, by its number; 0 for other calls. */
#define KS_READS  1
#define KS_WRITES 2
#define KS_OPENS  3
#define KS_SYNCS  4
#define KS_LISTS  5

KS_INLINE u32 ks_operation(u32 number)
{
    switch (number) {
#ifdef __NR_poll
    case __NR_read:
    case __NR_pread64:
    case __NR_readv:
    case __NR_preadv:
    case __NR_preadv2:
        return KS_READS;
    case __NR_write:
    case __NR_pwrite64:
    case __NR_writev:
    case __NR_pwritev:
    case __NR_pwritev2:
        return KS_WRITES;
    case __NR_open:
    case __NR_creat:
    case __NR_openat:
    case __NR_openat2:
        return KS_OPENS;
    case __NR_fsync:
    case __NR_fdatasync:
        return KS_SYNCS;
    case __NR_getdents:
    case __NR_getdents64:
        return KS_LISTS;
#else /* machines other than x86_64: asm-generic/unistd.h */
    case 63:                             /* read */
    case 67:                             /* pread64 */
    case 65:                             /* readv */
    case 69:                             /* preadv */
    case 286:                            /* preadv2 */
        return KS_READS;
    case 64:  /* write */
    case 68:  /* pwrite64 */
    case 66:  /* writev */
    case 70:  /* pwritev */
    case 287: /* pwritev2 */
        return KS_WRITES;
    case 56:  /* openat */
    case 437: /* openat2 */
        return KS_OPENS;
    case 82: /* fsync */
    case 83: /* fdatasync */
        return KS_SYNCS;
    case 61: /* getdents64 */
        return KS_LISTS;
#endif
    default:
        return 0;
    }
}

/* The same at sys_exit; 0 also for a 32-bit program's call. */
KS_INLINE u32 ks_operation_ended(struct pt_regs *regs, struct task_struct *task)
{
    u32 operation = ks_operation(ks_number(regs));

    return operation && !ks_is_32bit(task) ? operation : 0;
}

/* The file that such an operation used or opened; 0 if there is none. */
KS_INLINE struct file *ks_file_ended(struct task_struct *task, struct pt_regs *regs, u32 operation,
                                     s64 result)
{
    return ks_file_of(task, operation == KS_OPENS ? result : ks_first(regs));
}

/* --- scheduling ------------------------------------------------------------------------------- */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 14, 0)
#define KS_STATE(task) ((task)->__state)
#else
#define KS_STATE(task) ((task)->state)
#endif

/* For tp_btf:sched_switch(preempt, prev, next): whether prev went to sleep. If not, it returns to
 * the queue; it may have been preempted on the way to its sleep. */
#define KS_SLEEPS(preempt, prev) (!((preempt)&1) && KS_STATE(prev) != TASK_RUNNING)

/* A thread's wait for a CPU, a clock in a BPF_HASH(table, u32, u64): it starts at a wake-up
 * (KS_WAITS), or when another thread gets the CPU (KS_PUT_BACK, at sched_switch). */
#define KS_WAITS(table, task)                                                                      \
    ({                                                                                             \
        u32 ks_waiting = (task)->pid;                                                              \
        if (ks_waiting && KS_KEEP_TASK(task))                                                      \
            KS_BEGIN(table, &ks_waiting);                                                          \
    })

#define KS_PUT_BACK(table, preempt, prev)                                                          \
    ({                                                                                             \
        u32 ks_left = (prev)->pid;                                                                 \
        if (!KS_SLEEPS(preempt, prev))                                                             \
            KS_WAITS(table, prev);                                                                 \
        else if (KS_STATE(prev) & TASK_DEAD)                                                       \
            table.delete(&ks_left);                                                                \
    })

/* A call between its entry and its return, in a BPF_HASH(table, u32, struct ks_call): KS_ENTER
 * keeps its number and its first `count` arguments (a tracepoint rejects programs that read more
 * than the call has); KS_LEAVE moves them to *found, and is false if the entry was not seen. */
struct ks_call {
    u64 at_ns;
    s64 number;
    u64 args[6];
};

/* (s32): the padding after a tracepoint's call number may contain anything. */
#define KS_ENTER(table, entry, count)                                                              \
    ({                                                                                             \
        struct ks_call ks_begun = {.at_ns = bpf_ktime_get_ns(), .number = (s32)(entry)->number};   \
        u32 ks_tid = bpf_get_current_pid_tgid();                                                   \
        __builtin_memcpy(ks_begun.args, (entry)->args, (count) * sizeof(u64));                     \
        table.update(&ks_tid, &ks_begun);                                                          \
    })

#define KS_LEAVE(table, found)                                                                     \
    ({                                                                                             \
        u32 ks_tid = bpf_get_current_pid_tgid();                                                   \
        struct ks_call *ks_begun = table.lookup(&ks_tid);                                          \
        if (ks_begun) {                                                                            \
            *(found) = *ks_begun;                                                                  \
            table.delete(&ks_tid);                                                                 \
        }                                                                                          \
        ks_begun != 0;                                                                             \
    })

/* The same in a BPF_TASK_STORAGE(table, struct ks_call), for frequent calls. */
#define KS_OWN_ENTER(table, entry, count)                                                          \
    ({                                                                                             \
        struct ks_call *ks_begun = KS_OWN(table, KS_TASK_NOW());                                   \
        if (ks_begun) {                                                                            \
            ks_begun->number = (s32)(entry)->number;                                               \
            __builtin_memcpy(ks_begun->args, (entry)->args, (count) * sizeof(u64));                \
            ks_begun->at_ns = bpf_ktime_get_ns();                                                  \
        }                                                                                          \
    })

#define KS_OWN_LEAVE(table, found)                                                                 \
    ({                                                                                             \
        struct ks_call *ks_begun = KS_OWN_IF_ANY(table, KS_TASK_NOW());                            \
        bool ks_seen = ks_begun && ks_begun->at_ns;                                                \
        if (ks_seen) {                                                                             \
            *(found) = *ks_begun;                                                                  \
            ks_begun->at_ns = 0;                                                                   \
        }                                                                                          \
        ks_seen;                                                                                   \
    })

/* A text of 8 bytes, with everything after its NUL cleared. */
KS_INLINE u64 ks_until_nul(u64 text)
{
    u64 nul = (text - 0x0101010101010101ULL) & ~text & 0x8080808080808080ULL;

    return text & (((nul & -nul) >> 7) - 1);
}

/* A task's name, usable as a key, at a tenth of the cost of bpf_get_current_comm. */
KS_INLINE void ks_set_comm(char *to, struct task_struct *task)
{
    const u64 *from = (const u64 *)task->comm;
    u64 name[2] = {ks_until_nul(from[0]), 0};

    if (name[0] >> 56)
        name[1] = ks_until_nul(from[1]);
    __builtin_memcpy(to, name, sizeof(name));
}

/* --- records -----------------------------------------------------------------------------------
 * KS_TASK are the members that the columns pid, tid, uid and comm read; KS_SET_TASK fills them from
 * the current task. */

#define KS_TASK                                                                                    \
    u32 pid;                                                                                       \
    u32 tid;                                                                                       \
    u32 uid;                                                                                       \
    char comm[16]

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0) /* no bpf_get_current_task_btf */
#define KS_SET_TASK(record)                                                                        \
    ({                                                                                             \
        u64 ks_ids = bpf_get_current_pid_tgid();                                                   \
        (record)->pid = ks_ids >> 32;                                                              \
        (record)->tid = ks_ids;                                                                    \
        (record)->uid = bpf_get_current_uid_gid();                                                 \
        bpf_get_current_comm((record)->comm, sizeof((record)->comm));                              \
    })
#else
#define KS_SET_TASK(record)                                                                        \
    ({                                                                                             \
        struct task_struct *ks_task = KS_TASK_NOW();                                               \
        (record)->pid = ks_task->tgid;                                                             \
        (record)->tid = ks_task->pid;                                                              \
        (record)->uid = ks_task->cred->uid.val;                                                    \
        ks_set_comm((record)->comm, ks_task);                                                      \
    })
#endif

/* --- sockets -----------------------------------------------------------------------------------
 * KS_ENDS are the members that the columns local_address, local_port, remote_address and
 * remote_port read; KS_SET_ENDS fills them from an internet struct sock of any hook. Ports are in
 * host order. A closed socket no longer has skc_num. */

#define KS_IPV6 10 /* AF_INET6, include/linux/socket.h */

#define KS_ENDS                                                                                    \
    u16 family;                                                                                    \
    u16 local_port;                                                                                \
    u16 remote_port;                                                                               \
    u8 local[16];                                                                                  \
    u8 remote[16]

#define KS_SET_ENDS(record, sk)                                                                    \
    ({                                                                                             \
        struct sock_common *ks_ends = &(sk)->__sk_common;                                          \
        (record)->family = KS_READ(&ks_ends->skc_family);                                          \
        (record)->local_port = KS_READ(&ks_ends->skc_num);                                         \
        if (!(record)->local_port)                                                                 \
            (record)->local_port = bpf_ntohs(KS_READ(&((struct inet_sock *)(sk))->inet_sport));    \
        (record)->remote_port = bpf_ntohs(KS_READ(&ks_ends->skc_dport));                           \
        if ((record)->family == KS_IPV6) {                                                         \
            bpf_probe_read_kernel((record)->local, 16, &ks_ends->skc_v6_rcv_saddr);                \
            bpf_probe_read_kernel((record)->remote, 16, &ks_ends->skc_v6_daddr);                   \
        } else {                                                                                   \
            bpf_probe_read_kernel((record)->local, 4, &ks_ends->skc_rcv_saddr);                    \
            bpf_probe_read_kernel((record)->remote, 4, &ks_ends->skc_daddr);                       \
        }                                                                                          \
    })

/* Whether one of the ends has this port; 0 means any. */
#define KS_HAS_PORT(record, port)                                                                  \
    (!(port) || (record)->local_port == (port) || (record)->remote_port == (port))

/* An address in the form of bind(2) and connect(2): sockaddr_in and sockaddr_in6 in one.
 * KS_SET_ADDRESS copies the IP address to 16 bytes. */
struct ks_address {
    u16 family;
    u16 port; /* network order */
    u32 v4;   /* the IPv6 flow label */
    u8 v6[16];
};

#define KS_SET_ADDRESS(to, from)                                                                   \
    ({                                                                                             \
        if ((from)->family == KS_IPV6)                                                             \
            __builtin_memcpy(to, (from)->v6, 16);                                                  \
        else                                                                                       \
            __builtin_memcpy(to, &(from)->v4, 4);                                                  \
    })

/* The socket of a descriptor of the current process; 0 if it is not a socket. */
KS_INLINE struct sock *ks_sock(u32 fd)
{
    struct file *file = ks_file(fd);
    struct socket *socket = ks_pointer(&file->private_data);

    return file && KS_READ(&socket->file) == file ? KS_READ(&socket->sk) : 0;
}

/* MSG_PEEK, include/linux/socket.h: the data stays, and is received again later. */
#define KS_PEEK 2

/* The tracepoints sock_send_length and sock_recv_length (6.3 and later) run after the functions in
 * the same call. If those can be traced too, they note it in a BPF_ARRAY(table, u64, 1), and the
 * tracepoints skip the call. */
#define KS_BY_FUNCTION(table)                                                                      \
    ({                                                                                             \
        u64 ks_yes = 1;                                                                            \
        u32 ks_first = 0;                                                                          \
        table.update(&ks_first, &ks_yes);                                                          \
    })

#define KS_IS_BY_FUNCTION(table)                                                                   \
    ({                                                                                             \
        u32 ks_first = 0;                                                                          \
        u64 *ks_noted = table.lookup(&ks_first);                                                   \
        ks_noted ? *ks_noted : 0;                                                                  \
    })

/* Like KS_KEEP_TASK, for the current task. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
KS_INLINE bool ks_keep_current(void)
{
    u64 ids = bpf_get_current_pid_tgid();
    char comm[16] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    return ks_keep(ids >> 32, bpf_get_current_uid_gid(), comm) &&
           ks_in_cgroup((struct task_struct *)bpf_get_current_task()) && KS_IN_TREE((u32)ids);
}
#define KS_KEEP_CURRENT() ks_keep_current()
#else
#define KS_KEEP_CURRENT()                                                                          \
    ({                                                                                             \
        struct task_struct *ks_current = bpf_get_current_task_btf();                               \
        KS_KEEP_TASK(ks_current);                                                                  \
    })
#endif

/* --- block I/O ---------------------------------------------------------------------------------
 * For tp_btf hooks, whose struct request is read directly. */

/* The device number of a request's whole disk, and of its partition. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
#define KS_DISK(request) ((request)->q->disk->part0->bd_dev)
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
#define KS_DISK(request) ((request)->rq_disk->part0->bd_dev)
#else
#define KS_DISK(request) ((request)->rq_disk->part0.__dev.devt)
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
#define KS_PARTITION(request) ((request)->part->bd_dev)
#else
#define KS_PARTITION(request) ((request)->part->__dev.devt)
#endif

/* Whether a request is for the disk or partition selected by the parameter `disk`; 0 means any. */
#define KS_OF_DISK(request)                                                                        \
    (!KS_PARAM(disk) || KS_DISK(request) == KS_PARAM(disk) ||                                      \
     KS_PARTITION(request) == KS_PARAM(disk))

/* block_rq_complete(request, error, bytes) also fires for parts; the last one is all that is
 * left. */
#define KS_IS_WHOLE(request, bytes) ((u32)(bytes) >= (request)->__data_len)

/* A kernel worker often issues a request for another task. The requester is the task at
 * block_getrq(bio), where a request is allocated for a bio: KS_ISSUER stores it, in a
 * BPF_TABLE("lru_hash", u64, struct ks_issuer, table, 8192), and KS_ISSUER_OF finds it again. */
struct ks_issuer {
    u64 at_ns;
    s32 kernel_stack;
    s32 user_stack;
    u32 kept; /* whether it passes the filters */
    KS_TASK;
};

KS_INLINE void ks_set_issuer(struct ks_issuer *issuer)
{
    issuer->at_ns = bpf_ktime_get_ns();
    issuer->kept = KS_KEEP_CURRENT();
    KS_SET_TASK(issuer);
}

#define KS_ISSUER(table, bio)                                                                      \
    ({                                                                                             \
        struct ks_issuer ks_new = {.kernel_stack = -1, .user_stack = -1};                          \
        u64 ks_bio = (u64)(bio);                                                                   \
        ks_set_issuer(&ks_new);                                                                    \
        table.update(&ks_bio, &ks_new);                                                            \
    })

/* Its value is whether the request passes the filters and the parameter `disk`. A merge at the
 * front changes the first bio, one at the end the last. A request without a known bio, such as a
 * flush added by the kernel, belongs to the current task. */
#define KS_ISSUER_OF(table, request, into)                                                         \
    ({                                                                                             \
        u64 ks_bio = (u64)(request)->bio;                                                          \
        struct ks_issuer *ks_found = table.lookup(&ks_bio);                                        \
        if (!ks_found) {                                                                           \
            ks_bio = (u64)(request)->biotail;                                                      \
            ks_found = table.lookup(&ks_bio);                                                      \
        }                                                                                          \
        if (ks_found)                                                                              \
            *(into) = *ks_found;                                                                   \
        else                                                                                       \
            ks_set_issuer(into);                                                                   \
        (into)->kept ? KS_OF_DISK(request) : 0;                                                    \
    })

/* --- functions that the user chose -------------------------------------------------------------
 * For hooks "{function}" of a description: one C function at any number of hooks of any kind. A
 * column of kind "hook" shows KS_HOOK as the function's name. */

#define KS_HOOK ((u32)KS_PARAM(hook_number))

/* The type of the context, in KS_PARAM(hook_context). */
#define KS_REGISTERS 0 /* struct pt_regs: kprobe, uprobe, usdt and their returns */
#define KS_ARGUMENTS 1 /* an array: fentry, fexit, tp_btf, rawtracepoint */
#define KS_RECORD    2 /* a tracepoint's record */

/* The position of an argument in pt_regs, counted from 1. */
KS_INLINE u32 ks_register(u32 argument)
{
    struct pt_regs *none = 0;

    switch (argument) {
    case 1:
        return (u64)&PT_REGS_PARM1(none);
    case 2:
        return (u64)&PT_REGS_PARM2(none);
    case 3:
        return (u64)&PT_REGS_PARM3(none);
    case 4:
        return (u64)&PT_REGS_PARM4(none);
    case 5:
        return (u64)&PT_REGS_PARM5(none);
    default:
        return (u64)&PT_REGS_PARM6(none);
    }
}

/* An argument, counted from 1. Read by a helper: its number is known only after compiling, and a
 * plain access needs a compile-time constant as its position in the context. */
KS_INLINE u64 ks_argument(void *context, u32 argument)
{
    if (KS_PARAM(hook_context) == KS_ARGUMENTS)
        return ks_u64(context + 8 * (argument - 1));
    return ks_u64(context + ks_register(argument));
}

/* The function's return value, at its return. */
KS_INLINE u64 ks_returned(void *context)
{
    struct pt_regs *none = 0;
    u64 value = 0;

    if (KS_PARAM(hook_context) == KS_ARGUMENTS)
        bpf_get_func_ret(context, &value);
    else
        value = ks_u64(context + (u64)&PT_REGS_RC(none));
    return value;
}

/* A field of a tracepoint's record, or its address if it is text. place: hook_field_N, as packed by
 * agent/tracepoint_fields.py. */
KS_INLINE u64 ks_field(void *context, u64 place)
{
    u32 offset = place & 0xffff, size = place >> 16 & 0xffff;
    u64 value = 0;

    if (place & 1ull << 33)
        return (u64)context + offset;
    if (place & 1ull << 34)
        return (u64)context + (ks_u32(context + offset) & 0xffff);
    if (size > 8)
        return 0;
    bpf_probe_read_kernel(&value, size & 15, context + offset);
    if (place & 1ull << 32 && size < 8)
        value = (s64)(value << (64 - 8 * size)) >> (64 - 8 * size);
    return value;
}

/* A value that a parameter of kind "format" asks for: format is its NAME_N, field hook_field_N. */
#define KS_RETURN         7 /* a source, other than arguments 1 to 6 */
#define KS_TEXT           7 /* a kind of value; the others are numbers of 64, 32, 16 and 8 bits */
#define KS_SOURCE(format) ((format)&0xff)
#define KS_KIND(format)   ((format) >> 8 & 0xff)
#define KS_SLOT(format)   ((format) >> 16 & 3) /* the index among the texts */

KS_INLINE u64 ks_given(void *context, u64 format, u64 field)
{
    if (!KS_SOURCE(format) || KS_SOURCE(format) == KS_RETURN)
        return 0;
    if (KS_PARAM(hook_context) == KS_RECORD)
        return ks_field(context, field);
    return ks_argument(context, KS_SOURCE(format));
}

KS_INLINE u64 ks_converted(u64 format, u64 value)
{
    switch (KS_KIND(format)) {
    case 1:
        return (s64)(s32)value;
    case 2:
        return (u32)value;
    case 3:
        return (s64)(s16)value;
    case 4:
        return (u16)value;
    case 5:
        return (s64)(s8)value;
    case 6:
        return (u8)value;
    default:
        return value;
    }
}

/* The text at a user or kernel address. Returns like bpf_probe_read_user_str. */
KS_INLINE s64 ks_text(char *to, u32 size, u64 address)
{
    s64 read = bpf_probe_read_user_str(to, size, (void *)address);

    return read >= 0 ? read : bpf_probe_read_kernel_str(to, size, (void *)address);
}

/* A call of a user-selected function, from its entry to its return: a recursive one gets a key of
 * its own. In a BPF_HASH(table, struct ks_frame, struct ks_nesting); *frame is the key.
 *
 * A call that a program left by longjmp or an exception never returns. Its stack is gone by the
 * time another call starts above the outermost one. (The kernel has neither, but it has interrupts
 * on their own stacks.) */
struct ks_frame {
    u32 tid;
    u32 hook;
    u64 depth; /* 0 in the table */
};

struct ks_nesting {
    u64 depth;
    u64 outermost;
};

KS_INLINE u64 ks_stack_pointer(void *context)
{
    struct pt_regs *none = 0;

    return KS_PARAM(hook_context) ? 0 : ks_u64(context + (u64)&PT_REGS_SP(none));
}

#define KS_FRAME_BEGINS(table, context, frame)                                                     \
    ({                                                                                             \
        struct ks_frame ks_thread = {.tid = bpf_get_current_pid_tgid(), .hook = KS_HOOK};          \
        struct ks_nesting ks_none = {},                                                            \
                          *ks_calls = table.lookup_or_try_init(&ks_thread, &ks_none);              \
        u64 ks_stack = ks_stack_pointer(context);                                                  \
        *(frame) = ks_thread;                                                                      \
        if (ks_calls) {                                                                            \
            if ((s64)ks_stack > 0 && ks_stack >= ks_calls->outermost)                              \
                ks_calls->depth = 0;                                                               \
            if (!ks_calls->depth)                                                                  \
                ks_calls->outermost = ks_stack;                                                    \
            (frame)->depth = ++ks_calls->depth;                                                    \
        }                                                                                          \
    })

/* False if the entry was not seen. */
#define KS_FRAME_ENDS(table, frame)                                                                \
    ({                                                                                             \
        struct ks_frame ks_thread = {.tid = bpf_get_current_pid_tgid(), .hook = KS_HOOK};          \
        struct ks_nesting *ks_calls = table.lookup(&ks_thread);                                    \
        *(frame) = ks_thread;                                                                      \
        if (ks_calls && ks_calls->depth)                                                           \
            (frame)->depth = ks_calls->depth--;                                                    \
        (frame)->depth != 0;                                                                       \
    })
