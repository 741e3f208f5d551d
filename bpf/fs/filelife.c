/* Short-lived files: how long they existed, who created and who deleted them. Both from system
 * calls, matched by the file's name; after the deletion, its entry is gone from the kernel's name
 * cache. */

#define NAME_BYTES 64
#define PATH_BYTES 256
#define NAMESAKES  4         /* files with the same name that are followed at a time */
#define CREATED    (1 << 20) /* FMODE_CREATED, include/linux/fs.h: this open created the file */

struct key_t {
    char name[NAME_BYTES];
    u64 namesake;
};

struct made_t {
    u64 at_ns;
    struct dentry *dentry;
    u32 pid;
    u32 wanted; /* by the run's filters */
    char comm[16];
};

struct life_t {
    u64 at_ns;
    u64 age_ns;
    KS_TASK;
    u32 made_by;
    char made_comm[16];
    char file[NAME_BYTES];
    bool truncated;
};

BPF_TABLE("lru_hash", struct key_t, struct made_t, made, 16384);
BPF_HASH(entered, u32, u64);
BPF_RINGBUF_OUTPUT(lives, 8);

/* Whether the name no longer refers to a file. */
static inline bool is_gone(struct dentry *dentry)
{
    return !ks_pointer(&dentry->d_inode) || !ks_pointer(&dentry->d_hash.pprev);
}

int on_opened(struct ks_sys_exit *args)
{
    struct made_t file_made = {.at_ns = bpf_ktime_get_ns()}, *other;
    struct key_t key = {};
    struct file *file;

    if (args->result < 0)
        return 0;
    file = ks_file(args->result);
    if (!file || !(ks_u32(&file->f_mode) & CREATED))
        return 0;
    file_made.dentry = ks_pointer(&file->f_path.dentry);
    file_made.pid = bpf_get_current_pid_tgid() >> 32;
    file_made.wanted = KS_KEEP_CURRENT();
    bpf_get_current_comm(&file_made.comm, sizeof(file_made.comm));
    ks_file_name(key.name, NAME_BYTES, file);
#pragma unroll /* not every verifier can prove that a loop over data in memory ends */
    for (u32 i = 0; i < NAMESAKES; i++) {
        key.namesake = i;
        other = made.lookup(&key);
        if (!other || other->dentry == file_made.dentry || is_gone(other->dentry))
            break;
    }
    made.update(&key, &file_made);
    return 0;
}

static inline int enter(u64 path)
{
    u32 tid = bpf_get_current_pid_tgid();

    entered.update(&tid, &path);
    return 0;
}

int on_unlink(struct ks_sys_enter *args)
{
    return enter(args->args[0]);
}

int on_unlinkat(struct ks_sys_enter *args)
{
    return enter(args->args[1]);
}

/* Return where the last part of a path starts. */
static inline u64 last_part(u64 path)
{
    char text[PATH_BYTES] = {};
    u32 last = 0;

    bpf_probe_read_user_str(text, sizeof(text), (void *)path);
    for (u32 i = 0; i < PATH_BYTES && text[i]; i++)
        if (text[i] == '/')
            last = i + 1;
    return path + last;
}

static inline void report(struct key_t *key, struct made_t *file_made, u64 age)
{
    struct life_t life = {.at_ns = bpf_ktime_get_ns(), .age_ns = age};

    KS_SET_TASK(&life);
    life.made_by = file_made->pid;
    __builtin_memcpy(life.made_comm, file_made->comm, sizeof(life.made_comm));
    __builtin_memcpy(life.file, key->name, sizeof(life.file));
    life.truncated = key->name[NAME_BYTES - 2] != 0;
    lives.ringbuf_output(&life, sizeof(life), 0);
}

int on_unlinked(struct ks_sys_exit *args)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct key_t key = {};
    struct made_t *found;
    u64 *path = entered.lookup(&tid);

    if (!path)
        return 0;
    u64 name = last_part(*path);
    entered.delete(&tid);
    if (args->result < 0)
        return 0;
    bpf_probe_read_user_str(key.name, NAME_BYTES, (void *)name);
#pragma unroll
    for (u32 i = 0; i < NAMESAKES; i++) {
        key.namesake = i;
        found = made.lookup(&key);
        if (!found || !is_gone(found->dentry))
            continue;
        u64 age = bpf_ktime_get_ns() - found->at_ns;
        bool wanted = found->wanted || KS_KEEP_CURRENT();
        if (wanted && (!KS_PARAM(max_age) || age <= KS_PARAM(max_age)))
            report(&key, found, age);
        made.delete(&key);
        break;
    }
    return 0;
}
