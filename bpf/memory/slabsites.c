/* Kernel memory by allocation site: kmalloc and the slab caches, with the objects still in use. */

struct site_t {
    char cache[32];
    u32 object_bytes;
    s32 kernel_stack;
    u32 pid;
    char comm[16];
};

struct memory_t {
    u64 count;
    u64 bytes;
    s64 held;
    s64 held_bytes;
};

BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(sites, struct site_t, struct memory_t);
BPF_HASH(objects, u64, struct site_t, 131072);

static inline void release(u64 object)
{
    struct site_t *site = objects.lookup(&object);
    struct memory_t *memory;

    if (!site)
        return;
    memory = sites.lookup(site);
    if (memory) {
        lock_xadd(&memory->held, -1);
        lock_xadd(&memory->held_bytes, -(s64)site->object_bytes);
    }
    objects.delete(&object);
}

static inline void take(void *ctx, struct site_t *site, u64 object)
{
    struct memory_t zero = {}, *memory;

    if (KS_PARAM(by) == 0)
        site->kernel_stack = stacks.get_stackid(ctx, 0);
    if (KS_PARAM(by) == 2) {
        site->pid = bpf_get_current_pid_tgid() >> 32;
        bpf_get_current_comm(&site->comm, sizeof(site->comm));
    }
    memory = sites.lookup_or_try_init(site, &zero);
    if (!memory)
        return;
    lock_xadd(&memory->count, 1);
    lock_xadd(&memory->bytes, (u64)site->object_bytes);
    lock_xadd(&memory->held, 1);
    lock_xadd(&memory->held_bytes, (s64)site->object_bytes);
    release(object); /* the kernel fires no event for frees in bulk */
    objects.update(&object, site);
}

/* kmalloc(site, object, wanted, given, flags, node) */
int on_kmalloc(u64 *ctx)
{
    struct site_t site = {.cache = "kmalloc", .object_bytes = ctx[3], .kernel_stack = -1};

    if (ctx[1] && KS_KEEP_CURRENT())
        take(ctx, &site, ctx[1]);
    return 0;
}

/* kmem_cache_alloc(site, object, cache, flags, node) */
int on_cache_alloc(u64 *ctx)
{
    struct kmem_cache *cache = (struct kmem_cache *)ctx[2];
    struct site_t site = {.kernel_stack = -1};

    if (!ctx[1] || !KS_KEEP_CURRENT())
        return 0;
    site.object_bytes = ks_u32(&cache->size);
    bpf_probe_read_kernel_str(site.cache, sizeof(site.cache), ks_pointer(&cache->name));
    take(ctx, &site, ctx[1]);
    return 0;
}

/* The task that frees does not matter: it is often another one, or none. */
int on_free(u64 *ctx)
{
    release(ctx[1]);
    return 0;
}
