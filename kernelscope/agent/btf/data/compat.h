/*
 * Kernel macros and small inline functions that type information cannot carry.
 *
 * Each is one logical line: kernel_header.py picks those that a program mentions. A name that
 * the kernel has as an enumerator, or that the program defines, is left out.
 */

/* compiler and annotations */
#define __user
#define __kernel
#define __iomem
#define __percpu
#define __rcu
#define __force
#define __bitwise
#define __must_check
#define __init
#define __exit
#define asmlinkage
#define __maybe_unused __attribute__((unused))
#define __always_unused __attribute__((unused))
#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define __section(s) __attribute__((section(s)))
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define __noreturn __attribute__((noreturn))
#define __weak __attribute__((weak))
#define likely(c) __builtin_expect(!!(c), 1)
#define unlikely(c) __builtin_expect(!!(c), 0)
#define barrier() __asm__ __volatile__("" : : : "memory")
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define ACCESS_ONCE(x) READ_ONCE(x)
#define rcu_dereference(p) (p)
#define rcu_dereference_raw(p) (p)
#define rcu_access_pointer(p) (p)
#define BUILD_BUG_ON(c)
#define __stringify_1(x...) #x
#define __stringify(x...) __stringify_1(x)

/* whether an option is in the kernel's configuration */
#define __ARG_PLACEHOLDER_1 0,
#define __take_second_arg(ignored, value, ...) value
#define __is_defined(x) ___is_defined(x)
#define ___is_defined(value) ____is_defined(__ARG_PLACEHOLDER_##value)
#define ____is_defined(argument_or_junk) __take_second_arg(argument_or_junk 1, 0)
#define IS_BUILTIN(option) __is_defined(option)
#define IS_MODULE(option) __is_defined(option##_MODULE)
#define IS_ENABLED(option) (__is_defined(option) || __is_defined(option##_MODULE))
#define IS_REACHABLE(option) IS_BUILTIN(option)

/* arithmetic and layout */
#define NULL ((void *)0)
#define offsetof(type, member) __builtin_offsetof(type, member)
#define container_of(p, type, member) ((type *)((void *)(p) - offsetof(type, member)))
#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define FIELD_SIZEOF(type, member) sizeof_field(type, member)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))
#define abs(x) ((x) < 0 ? -(x) : (x))
#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define GENMASK(high, low) (((~0UL) << (low)) & (~0UL >> (63 - (high))))
#define ALIGN(x, a) (((x) + ((typeof(x))(a) - 1)) & ~((typeof(x))(a) - 1))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define ilog2(n) (63 - __builtin_clzll((n) | 1))
#define is_power_of_2(n) ((n) != 0 && ((n) & ((n) - 1)) == 0)
#define roundup_pow_of_two(n) ((n) <= 1 ? 1UL : 1UL << (64 - __builtin_clzll((unsigned long)(n) - 1)))
#define memset(to, byte, size) __builtin_memset(to, byte, size)
#define memcpy(to, from, size) __builtin_memcpy(to, from, size)
#define memmove(to, from, size) __builtin_memmove(to, from, size)
#define memcmp(a, b, size) __builtin_memcmp(a, b, size)
#define bzero(to, size) __builtin_memset(to, 0, size)
#define strlen(text) __builtin_strlen(text)
static inline __attribute__((always_inline)) u64 div_u64(u64 a, u32 b) { return a / b; }
static inline __attribute__((always_inline)) u64 div64_u64(u64 a, u64 b) { return a / b; }

/* byte order: BPF programs here run on little-endian kernels (btf/types.py reads no other) */
#define __LITTLE_ENDIAN 1234
#define __LITTLE_ENDIAN_BITFIELD
#define swab16(x) __builtin_bswap16(x)
#define swab32(x) __builtin_bswap32(x)
#define swab64(x) __builtin_bswap64(x)
#define be16_to_cpu(x) __builtin_bswap16(x)
#define be32_to_cpu(x) __builtin_bswap32(x)
#define be64_to_cpu(x) __builtin_bswap64(x)
#define __be16_to_cpu(x) __builtin_bswap16(x)
#define __be32_to_cpu(x) __builtin_bswap32(x)
#define __be64_to_cpu(x) __builtin_bswap64(x)
#define cpu_to_be16(x) ((__be16)__builtin_bswap16(x))
#define cpu_to_be32(x) ((__be32)__builtin_bswap32(x))
#define cpu_to_be64(x) ((__be64)__builtin_bswap64(x))
#define le16_to_cpu(x) (x)
#define le32_to_cpu(x) (x)
#define le64_to_cpu(x) (x)
#define cpu_to_le16(x) (x)
#define cpu_to_le32(x) (x)
#define cpu_to_le64(x) (x)
#define ntohs(x) be16_to_cpu(x)
#define ntohl(x) be32_to_cpu(x)
#define htons(x) cpu_to_be16(x)
#define htonl(x) cpu_to_be32(x)
#define __constant_ntohs(x) ntohs(x)
#define __constant_ntohl(x) ntohl(x)
#define __constant_htons(x) htons(x)
#define __constant_htonl(x) htonl(x)
#define __constant_cpu_to_be16(x) htons(x)
#define __constant_cpu_to_be32(x) htonl(x)

/* errors in pointers */
#define MAX_ERRNO 4095
#define IS_ERR_VALUE(x) ((unsigned long)(void *)(x) >= (unsigned long)-MAX_ERRNO)
#define IS_ERR(p) IS_ERR_VALUE((unsigned long)(p))
#define IS_ERR_OR_NULL(p) (!(p) || IS_ERR(p))
#define PTR_ERR(p) ((long)(p))
#define ERR_PTR(e) ((void *)(long)(e))
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ENOIOCTLCMD 515
#define ERESTART_RESTARTBLOCK 516
#define EPROBE_DEFER 517

/* lists and atomics */
#define list_entry(p, type, member) container_of(p, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_next_entry(p, member) list_entry((p)->member.next, typeof(*(p)), member)
static inline __attribute__((always_inline)) int atomic_read(const atomic_t *v) { return v->counter; }

/* devices, memory, time */
#define MINORBITS 20
#define MINORMASK ((1U << MINORBITS) - 1)
#define MAJOR(dev) ((unsigned int)((dev) >> MINORBITS))
#define MINOR(dev) ((unsigned int)((dev) & MINORMASK))
#define MKDEV(major, minor) (((major) << MINORBITS) | (minor))
static inline __attribute__((always_inline)) u16 old_encode_dev(dev_t dev) { return (MAJOR(dev) << 8) | MINOR(dev); }
static inline __attribute__((always_inline)) u32 new_encode_dev(dev_t dev) { return (MINOR(dev) & 0xff) | (MAJOR(dev) << 8) | ((MINOR(dev) & ~0xff) << 12); }
static inline __attribute__((always_inline)) u64 huge_encode_dev(dev_t dev) { return new_encode_dev(dev); }
static inline __attribute__((always_inline)) s64 ktime_to_ns(ktime_t time) { return time; }
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define HZ CONFIG_HZ
#define NSEC_PER_SEC 1000000000L
#define NSEC_PER_MSEC 1000000L
#define NSEC_PER_USEC 1000L
#define USEC_PER_SEC 1000000L
#define USEC_PER_MSEC 1000L
#define MSEC_PER_SEC 1000L

/* tasks */
#define TASK_COMM_LEN 16
#define TASK_RUNNING 0x0
#define TASK_INTERRUPTIBLE 0x1
#define TASK_UNINTERRUPTIBLE 0x2
#define __TASK_STOPPED 0x4
#define __TASK_TRACED 0x8
#define EXIT_DEAD 0x10
#define EXIT_ZOMBIE 0x20
#define TASK_PARKED 0x40
#define TASK_DEAD 0x80
#define TASK_WAKEKILL 0x100
#define TASK_WAKING 0x200
#define TASK_NOLOAD 0x400
#define TASK_NEW 0x800
#define TASK_KILLABLE (TASK_WAKEKILL | TASK_UNINTERRUPTIBLE)
#define TASK_IDLE (TASK_UNINTERRUPTIBLE | TASK_NOLOAD)
#define PF_IDLE 0x2
#define PF_EXITING 0x4
#define PF_KTHREAD 0x200000
#define MAX_RT_PRIO 100
#define MAX_PRIO 140

/* files */
#define PATH_MAX 4096
#define NAME_MAX 255
#define DNAME_INLINE_LEN 40
#define d_iname d_shortname.string
#define FMODE_READ 0x1
#define FMODE_WRITE 0x2
#define FMODE_EXEC 0x20
#define FMODE_OPENED 0x80000
#define FMODE_CREATED 0x100000
#define S_ISLNK(mode) (((mode) & S_IFMT) == S_IFLNK)
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)
#define S_ISDIR(mode) (((mode) & S_IFMT) == S_IFDIR)
#define S_ISCHR(mode) (((mode) & S_IFMT) == S_IFCHR)
#define S_ISBLK(mode) (((mode) & S_IFMT) == S_IFBLK)
#define S_ISFIFO(mode) (((mode) & S_IFMT) == S_IFIFO)
#define S_ISSOCK(mode) (((mode) & S_IFMT) == S_IFSOCK)

static inline __attribute__((always_inline)) struct inode *file_inode(const struct file *f) { return f->f_inode; }
static inline __attribute__((always_inline)) struct inode *d_inode(const struct dentry *d) { return d->d_inode; }
static inline __attribute__((always_inline)) loff_t i_size_read(const struct inode *inode) { return inode->i_size; }

/* block devices */
static inline __attribute__((always_inline)) unsigned int blk_rq_bytes(const struct request *rq) { return rq->__data_len; }
static inline __attribute__((always_inline)) unsigned int blk_rq_sectors(const struct request *rq) { return rq->__data_len >> SECTOR_SHIFT; }
static inline __attribute__((always_inline)) sector_t blk_rq_pos(const struct request *rq) { return rq->__sector; }
#define SECTOR_SHIFT 9
#define SECTOR_SIZE 512
#define REQ_OP_BITS 8
#define REQ_OP_MASK 0xffU
#define DISK_NAME_LEN 32
#define SG_CHAIN 0x01UL
#define SG_END 0x02UL
#define sg_is_chain(sg) ((sg)->page_link & SG_CHAIN)
#define sg_is_last(sg) ((sg)->page_link & SG_END)
#define sg_chain_ptr(sg) ((struct scatterlist *)((sg)->page_link & ~(SG_CHAIN | SG_END)))

/* names' lengths */
#define MODULE_NAME_LEN 56
#define KSYM_NAME_LEN 512
#define IFNAMSIZ 16
#define MAX_STACK_TRACE_DEPTH 64

/* sockets: members that the kernel's headers name through struct sock_common */
#define sk_node __sk_common.skc_node
#define sk_nulls_node __sk_common.skc_nulls_node
#define sk_refcnt __sk_common.skc_refcnt
#define sk_tx_queue_mapping __sk_common.skc_tx_queue_mapping
#define sk_hash __sk_common.skc_hash
#define sk_portpair __sk_common.skc_portpair
#define sk_num __sk_common.skc_num
#define sk_dport __sk_common.skc_dport
#define sk_addrpair __sk_common.skc_addrpair
#define sk_daddr __sk_common.skc_daddr
#define sk_rcv_saddr __sk_common.skc_rcv_saddr
#define sk_family __sk_common.skc_family
#define sk_state __sk_common.skc_state
#define sk_reuse __sk_common.skc_reuse
#define sk_reuseport __sk_common.skc_reuseport
#define sk_ipv6only __sk_common.skc_ipv6only
#define sk_net_refcnt __sk_common.skc_net_refcnt
#define sk_bound_dev_if __sk_common.skc_bound_dev_if
#define sk_bind_node __sk_common.skc_bind_node
#define sk_prot __sk_common.skc_prot
#define sk_net __sk_common.skc_net
#define sk_v6_daddr __sk_common.skc_v6_daddr
#define sk_v6_rcv_saddr __sk_common.skc_v6_rcv_saddr
#define sk_cookie __sk_common.skc_cookie
#define sk_incoming_cpu __sk_common.skc_incoming_cpu
#define sk_flags __sk_common.skc_flags
#define sk_rxhash __sk_common.skc_rxhash
#define inet_daddr sk.__sk_common.skc_daddr
#define inet_rcv_saddr sk.__sk_common.skc_rcv_saddr
#define inet_dport sk.__sk_common.skc_dport
#define inet_num sk.__sk_common.skc_num
#define ir_loc_addr req.__req_common.skc_rcv_saddr
#define ir_rmt_addr req.__req_common.skc_daddr
#define ir_num req.__req_common.skc_num
#define ir_rmt_port req.__req_common.skc_dport
#define ir_v6_rmt_addr req.__req_common.skc_v6_daddr
#define ir_v6_loc_addr req.__req_common.skc_v6_rcv_saddr
#define tw_num __tw_common.skc_num
#define tw_dport __tw_common.skc_dport
#define tw_family __tw_common.skc_family
#define s6_addr in6_u.u6_addr8
#define s6_addr16 in6_u.u6_addr16
#define s6_addr32 in6_u.u6_addr32
#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_LOCAL 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define AF_VSOCK 40
#define TCPF(state) (1 << (state))
#define SCM_RIGHTS 0x01
#define SCM_CREDENTIALS 0x02
#define SCM_MAX_FD 253
static inline __attribute__((always_inline)) struct inet_sock *inet_sk(const struct sock *sk) { return (struct inet_sock *)sk; }
static inline __attribute__((always_inline)) struct tcp_sock *tcp_sk(const struct sock *sk) { return (struct tcp_sock *)sk; }
static inline __attribute__((always_inline)) struct udp_sock *udp_sk(const struct sock *sk) { return (struct udp_sock *)sk; }
static inline __attribute__((always_inline)) struct unix_sock *unix_sk(const struct sock *sk) { return (struct unix_sock *)sk; }
static inline __attribute__((always_inline)) struct inet_connection_sock *inet_csk(const struct sock *sk) { return (struct inet_connection_sock *)sk; }
static inline __attribute__((always_inline)) struct inet_request_sock *inet_rsk(const struct request_sock *r) { return (struct inet_request_sock *)r; }
static inline __attribute__((always_inline)) unsigned char *skb_transport_header(const struct sk_buff *skb) { return skb->head + skb->transport_header; }
static inline __attribute__((always_inline)) unsigned char *skb_network_header(const struct sk_buff *skb) { return skb->head + skb->network_header; }
static inline __attribute__((always_inline)) unsigned char *skb_mac_header(const struct sk_buff *skb) { return skb->head + skb->mac_header; }
static inline __attribute__((always_inline)) bool skb_rx_queue_recorded(const struct sk_buff *skb) { return skb->queue_mapping != 0; }
static inline __attribute__((always_inline)) u16 skb_get_rx_queue(const struct sk_buff *skb) { return skb->queue_mapping - 1; }
static inline __attribute__((always_inline)) u16 skb_get_queue_mapping(const struct sk_buff *skb) { return skb->queue_mapping; }
static inline __attribute__((always_inline)) struct ethhdr *eth_hdr(const struct sk_buff *skb) { return (struct ethhdr *)(skb->head + skb->mac_header); }
static inline __attribute__((always_inline)) struct iphdr *ip_hdr(const struct sk_buff *skb) { return (struct iphdr *)(skb->head + skb->network_header); }
static inline __attribute__((always_inline)) struct ipv6hdr *ipv6_hdr(const struct sk_buff *skb) { return (struct ipv6hdr *)(skb->head + skb->network_header); }
static inline __attribute__((always_inline)) struct tcphdr *tcp_hdr(const struct sk_buff *skb) { return (struct tcphdr *)(skb->head + skb->transport_header); }
static inline __attribute__((always_inline)) struct udphdr *udp_hdr(const struct sk_buff *skb) { return (struct udphdr *)(skb->head + skb->transport_header); }
static inline __attribute__((always_inline)) struct icmphdr *icmp_hdr(const struct sk_buff *skb) { return (struct icmphdr *)(skb->head + skb->transport_header); }
#define TCP_SKB_CB(skb) ((struct tcp_skb_cb *)&((skb)->cb[0]))
