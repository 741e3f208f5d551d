#!/bin/busybox sh
# A guest's first process. Its root is the host's, read-only, with a layer in memory over it that
# takes every write; /out is shared with the host.
B=/bin/busybox
give_up() { echo "GUEST: $1"; $B poweroff -f; }

$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
for module in $($B cat /m/order); do $B insmod "/m/$module"; done

$B mount -t virtiofs -o ro host /host || give_up "the host's root cannot be mounted"
$B mount -t tmpfs -o size=80% memory /memory
$B mkdir /memory/upper /memory/work
$B mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work overlay /new ||
    give_up "the overlay cannot be mounted"

$B mkdir -p /new/proc /new/sys /new/dev /new/run /new/out /new/disk
for folder in proc sys dev; do $B mount --move /$folder /new/$folder; done
$B mkdir -p /new/dev/pts /new/dev/shm
$B mount -t devpts devpts /new/dev/pts
$B mount -t tmpfs shm /new/dev/shm
$B mount -t tmpfs run /new/run
$B mount -t ext4 /new/dev/vda /new/disk || give_up "the disk cannot be mounted"
$B mount -t virtiofs out /new/out || give_up "/out cannot be mounted"
# What a running system has mounted, with systemd or without.
$B mount -t tracefs tracefs /new/sys/kernel/tracing
$B mount -t debugfs debugfs /new/sys/kernel/debug
$B mount -t securityfs securityfs /new/sys/kernel/security
$B mount -t bpf bpf /new/sys/fs/bpf
$B mount -t cgroup2 cgroup /new/sys/fs/cgroup
$B ln -s /proc/self/fd /new/dev/fd
$B ip link set lo up
# Run statistics stay on: switching them rewrites code that the other CPU runs, and emulated CPUs
# can hang on that.
echo 1 > /new/proc/sys/kernel/bpf_stats_enabled
exec $B switch_root /new /bin/sh /out/run.sh
