/* Programs started from unusual places: directories that every user may write to, memory, deleted
 * files. Runs as tp_btf: the task and its binary are read directly. */

#define PATH_BYTES 256
#define NAME_BYTES 64
#define MAX_DEPTH  40

#define IN_MEMORY  1
#define DELETED    2
#define IN_TMP     3
#define IN_SHM     4
#define IN_VAR_TMP 5

struct exec_t {
    u64 at_ns;
    KS_TASK;
    u32 ppid;
    u32 reason;
    bool truncated;
    char file[NAME_BYTES];
    char path[PATH_BYTES];
};

/* The two topmost directories of a path, the first seven letters of each. */
struct top_t {
    u64 first;
    u64 second;
};

BPF_RINGBUF_OUTPUT(execs, 8);

static inline u64 word(const unsigned char *text)
{
    u64 name = 0;

    bpf_probe_read_kernel_str(&name, sizeof(name), text);
    return name;
}

/* Walks up from a file to its task's root directory (fs->root: a chroot's, or that of the mount
 * namespace); at the root of a mount, continues at its mount point. */
static inline struct top_t top_of(struct task_struct *task, struct file *file)
{
    struct dentry *end = task->fs->root.dentry;
    struct vfsmount *end_mount = task->fs->root.mnt;
    struct dentry *entry = 0, *parent = 0, *root = 0;
    struct vfsmount *mount = 0;
    struct mount *outer = 0, *above = 0;
    const unsigned char *text = 0;
    struct top_t top = {};

    bpf_probe_read_kernel(&entry, sizeof(entry), &file->f_path.dentry);
    bpf_probe_read_kernel(&mount, sizeof(mount), &file->f_path.mnt);
    for (int i = 0; i < MAX_DEPTH; i++) {
        if (entry == end && mount == end_mount)
            break;
        bpf_probe_read_kernel(&root, sizeof(root), &mount->mnt_root);
        bpf_probe_read_kernel(&parent, sizeof(parent), &entry->d_parent);
        if (entry == root || entry == parent) {
            outer = (struct mount *)((void *)mount - offsetof(struct mount, mnt));
            bpf_probe_read_kernel(&above, sizeof(above), &outer->mnt_parent);
            if (above == outer)
                break;
            bpf_probe_read_kernel(&entry, sizeof(entry), &outer->mnt_mountpoint);
            mount = (struct vfsmount *)((void *)above + offsetof(struct mount, mnt));
            continue;
        }
        bpf_probe_read_kernel(&text, sizeof(text), &entry->d_name.name);
        top.second = top.first;
        top.first = word(text);
        entry = parent;
    }
    return top;
}

/* A name of three letters as the number that `word` makes of it. */
#define NAME3(a, b, c) ((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16)

static inline u32 folder_of(struct top_t top)
{
    if (top.first == NAME3('t', 'm', 'p'))
        return IN_TMP;
    if (top.first == NAME3('d', 'e', 'v') && top.second == NAME3('s', 'h', 'm'))
        return IN_SHM;
    if (top.first == NAME3('v', 'a', 'r') && top.second == NAME3('t', 'm', 'p'))
        return IN_VAR_TMP;
    return 0;
}

/* A script's path is compared as text, because the kernel runs its interpreter. */
static inline u32 folder_named(const char *path)
{
    struct top_t top = {};

    if (path[0] != '/' || path[4] != '/')
        return 0;
    top.first = NAME3(path[1], path[2], path[3]);
    if (path[8] == '/')
        top.second = NAME3(path[5], path[6], path[7]);
    return folder_of(top);
}

static inline u32 reason_of(struct task_struct *task, struct file *file, const char *name)
{
    if (file->f_inode->i_nlink)
        return folder_of(top_of(task, file));
    if (NAME3(name[0], name[1], name[2]) == NAME3('m', 'e', 'm') &&
        NAME3(name[3], name[4], name[5]) == NAME3('f', 'd', ':'))
        return IN_MEMORY;
    return DELETED;
}

/* sched_process_exec(task, old_pid, bprm), in the new program's context */
int on_exec(u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[0];
    struct linux_binprm *program = (struct linux_binprm *)ctx[2];
    struct exec_t exec = {.at_ns = bpf_ktime_get_ns()};

    ks_file_name(exec.file, NAME_BYTES, program->file);
    exec.truncated =
        bpf_probe_read_kernel_str(exec.path, PATH_BYTES, program->filename) == PATH_BYTES;
    exec.reason = reason_of(task, program->file, exec.file);
    if (!exec.reason)
        exec.reason = folder_named(exec.path);
    if (!exec.reason)
        return 0;
    exec.ppid = task->real_parent->tgid;
    KS_SET_TASK(&exec);
    execs.ringbuf_output(&exec, sizeof(exec), 0);
    return 0;
}
