package procfs

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// parameters are kernel parameters of a Debian server at rest, by their path
// below /proc/sys; a tab stands between several numbers.
const parameters = `abi/vsyscall32 1
debug/exception-trace 1
dev/cdrom/autoclose 1
dev/cdrom/lock 0
dev/hpet/max-user-freq 64
dev/scsi/logging_level 0
fs/aio-max-nr 65536
fs/aio-nr 0
fs/dir-notify-enable 1
fs/epoll/max_user_watches 896417
fs/file-max 9223372036854775807
fs/inotify/max_queued_events 16384
fs/inotify/max_user_instances 128
fs/inotify/max_user_watches 62231
fs/lease-break-time 45
fs/leases-enable 1
fs/mount-max 100000
fs/nr_open 1048576
fs/overflowgid 65534
fs/overflowuid 65534
fs/pipe-max-size 1048576
fs/pipe-user-pages-hard 0
fs/pipe-user-pages-soft 16384
fs/protected_fifos 1
fs/protected_hardlinks 1
fs/protected_regular 2
fs/protected_symlinks 1
fs/suid_dumpable 0
kernel/acpi_video_flags 0
kernel/apparmor_display_secid_mode 0
kernel/auto_msgmni 0
kernel/bootloader_type 114
kernel/bootloader_version 2
kernel/bpf_stats_enabled 0
kernel/cad_pid 1
kernel/cap_last_cap 40
kernel/core_pattern core
kernel/core_pipe_limit 0
kernel/core_uses_pid 0
kernel/ctrl-alt-del 0
kernel/dmesg_restrict 1
kernel/domainname (none)
kernel/ftrace_enabled 1
kernel/hung_task_panic 0
kernel/hung_task_timeout_secs 120
kernel/hung_task_warnings 10
kernel/io_delay_type 1
kernel/kexec_load_disabled 0
kernel/kptr_restrict 0
kernel/max_lock_depth 1024
kernel/modprobe /sbin/modprobe
kernel/modules_disabled 0
kernel/msgmax 8192
kernel/msgmnb 16384
kernel/msgmni 32000
kernel/ngroups_max 65536
kernel/nmi_watchdog 0
kernel/numa_balancing 0
kernel/osrelease {release}
kernel/ostype Linux
kernel/overflowgid 65534
kernel/overflowuid 65534
kernel/panic 0
kernel/panic_on_oops 0
kernel/perf_event_max_sample_rate 100000
kernel/perf_event_paranoid 3
kernel/pid_max 4194304
kernel/poweroff_cmd /sbin/poweroff
kernel/printk 4	4	1	7
kernel/printk_delay 0
kernel/printk_ratelimit 5
kernel/printk_ratelimit_burst 10
kernel/pty/max 4096
kernel/pty/nr {ptys}
kernel/random/entropy_avail 256
kernel/random/poolsize 256
kernel/random/urandom_min_reseed_secs 60
kernel/random/write_wakeup_threshold 256
kernel/randomize_va_space 2
kernel/sched_autogroup_enabled 1
kernel/sched_rt_period_us 1000000
kernel/sched_rt_runtime_us 950000
kernel/seccomp/actions_avail kill_process kill_thread trap errno user_notif trace log allow
kernel/sem 32000	1024000000	500	32000
kernel/shmall 18446744073692774399
kernel/shmmax 18446744073692774399
kernel/shmmni 4096
kernel/soft_watchdog 1
kernel/sysrq 438
kernel/tainted 0
kernel/threads-max 31115
kernel/unprivileged_bpf_disabled 2
kernel/unprivileged_userns_clone 1
kernel/usermodehelper/bset 4294967295	511
kernel/version {version}
kernel/watchdog 1
kernel/watchdog_thresh 10
kernel/yama/ptrace_scope 0
net/core/bpf_jit_enable 1
net/core/default_qdisc fq_codel
net/core/dev_weight 64
net/core/netdev_budget 300
net/core/netdev_max_backlog 1000
net/core/optmem_max 20480
net/core/rmem_default 212992
net/core/rmem_max 212992
net/core/somaxconn 4096
net/core/wmem_default 212992
net/core/wmem_max 212992
net/ipv4/conf/all/accept_redirects 1
net/ipv4/conf/all/accept_source_route 0
net/ipv4/conf/all/arp_ignore 0
net/ipv4/conf/all/forwarding 0
net/ipv4/conf/all/log_martians 0
net/ipv4/conf/all/proxy_arp 0
net/ipv4/conf/all/rp_filter 2
net/ipv4/conf/all/secure_redirects 1
net/ipv4/conf/all/send_redirects 1
net/ipv4/conf/default/accept_redirects 1
net/ipv4/conf/default/accept_source_route 1
net/ipv4/conf/default/forwarding 0
net/ipv4/conf/default/rp_filter 2
net/ipv4/conf/default/send_redirects 1
net/ipv4/icmp_echo_ignore_all 0
net/ipv4/icmp_echo_ignore_broadcasts 1
net/ipv4/icmp_ignore_bogus_error_responses 1
net/ipv4/icmp_ratelimit 1000
net/ipv4/ip_default_ttl 64
net/ipv4/ip_dynaddr 0
net/ipv4/ip_forward 0
net/ipv4/ip_local_port_range 32768	60999
net/ipv4/ip_nonlocal_bind 0
net/ipv4/ip_unprivileged_port_start 1024
net/ipv4/neigh/default/gc_thresh1 128
net/ipv4/neigh/default/gc_thresh2 512
net/ipv4/neigh/default/gc_thresh3 1024
net/ipv4/tcp_allowed_congestion_control reno cubic
net/ipv4/tcp_available_congestion_control reno cubic
net/ipv4/tcp_congestion_control cubic
net/ipv4/tcp_ecn 2
net/ipv4/tcp_fastopen 1
net/ipv4/tcp_fin_timeout 60
net/ipv4/tcp_keepalive_intvl 75
net/ipv4/tcp_keepalive_probes 9
net/ipv4/tcp_keepalive_time 7200
net/ipv4/tcp_max_orphans 16384
net/ipv4/tcp_max_syn_backlog 256
net/ipv4/tcp_max_tw_buckets 16384
net/ipv4/tcp_mem 45930	61243	91860
net/ipv4/tcp_mtu_probing 0
net/ipv4/tcp_rmem 4096	131072	6291456
net/ipv4/tcp_sack 1
net/ipv4/tcp_syn_retries 6
net/ipv4/tcp_synack_retries 5
net/ipv4/tcp_syncookies 1
net/ipv4/tcp_timestamps 1
net/ipv4/tcp_tw_reuse 2
net/ipv4/tcp_window_scaling 1
net/ipv4/tcp_wmem 4096	16384	4194304
net/ipv4/udp_mem 91860	122487	183720
net/ipv6/conf/all/accept_ra 1
net/ipv6/conf/all/accept_redirects 1
net/ipv6/conf/all/disable_ipv6 0
net/ipv6/conf/all/forwarding 0
net/ipv6/conf/default/accept_ra 1
net/ipv6/conf/default/disable_ipv6 0
net/ipv6/conf/lo/disable_ipv6 0
net/unix/max_dgram_qlen 512
user/max_user_namespaces 15557
vm/admin_reserve_kbytes 8192
vm/block_dump 0
vm/compact_unevictable_allowed 1
vm/dirty_background_bytes 0
vm/dirty_background_ratio 10
vm/dirty_bytes 0
vm/dirty_expire_centisecs 3000
vm/dirty_ratio 20
vm/dirty_writeback_centisecs 500
vm/extfrag_threshold 500
vm/hugetlb_shm_group 0
vm/laptop_mode 0
vm/legacy_va_layout 0
vm/lowmem_reserve_ratio 256	256	32	0	0
vm/max_map_count 65530
vm/memory_failure_recovery 1
vm/min_free_kbytes 67584
vm/mmap_min_addr 65536
vm/nr_hugepages 0
vm/nr_overcommit_hugepages 0
vm/numa_zonelist_order Node
vm/oom_dump_tasks 1
vm/oom_kill_allocating_task 0
vm/overcommit_kbytes 0
vm/overcommit_memory 0
vm/overcommit_ratio 50
vm/page-cluster 3
vm/panic_on_oom 0
vm/stat_interval 1
vm/swappiness 60
vm/unprivileged_userfaultfd 0
vm/user_reserve_kbytes 126652
vm/vfs_cache_pressure 100
vm/watermark_boost_factor 15000
vm/watermark_scale_factor 10
vm/zone_reclaim_mode 0`

// readOnly are parameters that nobody can set.
const readOnly = " kernel/osrelease kernel/ostype kernel/version kernel/random/boot_id kernel/random/uuid kernel/random/entropy_avail kernel/random/poolsize kernel/pty/nr kernel/ngroups_max kernel/cap_last_cap fs/aio-nr fs/file-nr fs/inode-nr net/ipv4/tcp_available_congestion_control "

// parameter is the value of a kernel parameter, by its path below /proc/sys.
func (f *Proc) parameter(rel string) (string, bool) {
	if v, ok := f.m.Settings.Get("sysctl/" + rel); ok {
		return v, true
	}
	p := f.m.Persona
	switch rel {
	case "kernel/hostname":
		return p.Hostname, true
	case "kernel/random/boot_id":
		return f.bootID(), true
	case "kernel/random/uuid":
		a, b := f.m.Rand.Uint64(), f.m.Rand.Uint64()
		return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff), true
	case "fs/file-nr":
		return strconv.FormatInt(900+int64(len(f.m.Table.List()))*6, 10) + "\t0\t9223372036854775807", true
	case "fs/inode-nr":
		return strconv.FormatInt(31_000+f.count("inodes", 0.003)%4000, 10) + "\t" + strconv.FormatInt(300+f.count("free", 0.001)%90, 10), true
	case "kernel/ns_last_pid":
		return strconv.Itoa(f.m.Table.Next()), true
	case "kernel/threads-max":
		return strconv.FormatInt(p.Memory.TotalKB/128, 10), true
	case "vm/user_reserve_kbytes":
		return strconv.FormatInt(min(p.Memory.TotalKB/32, 131072), 10), true
	}
	for _, n := range append([]string{"lo"}, nicNames(p.NICs)...) {
		if strings.HasPrefix(rel, "net/ipv4/conf/"+n+"/") || strings.HasPrefix(rel, "net/ipv6/conf/"+n+"/") {
			return f.parameter(strings.Replace(rel, "/"+n+"/", "/default/", 1))
		}
	}
	i := strings.Index("\n"+parameters, "\n"+rel+" ")
	if i < 0 {
		return "", false
	}
	line, _, _ := strings.Cut(parameters[i:], "\n")
	_, v, _ := strings.Cut(line, " ")
	if strings.Contains(v, "{") {
		v = strings.NewReplacer("{release}", p.Kernel.Release, "{version}", p.Kernel.Version, "{ptys}", strconv.Itoa(f.ptys())).Replace(v)
	}
	return v, true
}

// ptys is how many pseudo-terminals are open.
func (f *Proc) ptys() int {
	lines := map[string]bool{}
	for _, e := range f.m.Table.List() {
		if strings.HasPrefix(e.TTY, "pts/") {
			lines[e.TTY] = true
		}
	}
	return len(lines)
}

// bootID is the id of this start of the host.
func (f *Proc) bootID() string {
	a := f.m.Persona.Seed*0x9e3779b97f4a7c15 ^ uint64(f.m.Persona.Boot.Unix())
	b := a*6364136223846793005 + 1442695040888963407
	a ^= b >> 17
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

// parameterNames are the paths of all parameters.
func (f *Proc) parameterNames() []string {
	out := []string{"kernel/hostname", "kernel/random/boot_id", "kernel/random/uuid", "fs/file-nr", "fs/inode-nr", "kernel/ns_last_pid"}
	for line := range strings.Lines(parameters) {
		name, _, _ := strings.Cut(line, " ")
		out = append(out, name)
		for _, n := range append([]string{"lo"}, nicNames(f.m.Persona.NICs)...) {
			if strings.Contains(name, "/conf/default/") && !strings.Contains(name, "ipv6/conf/lo") {
				out = append(out, strings.Replace(name, "/default/", "/"+n+"/", 1))
			}
		}
	}
	return out
}

// parameterEntry is the file of a kernel parameter; root may set it.
func (f *Proc) parameterEntry(rel string) (vfs.Entry, bool) {
	if _, ok := f.parameter(rel); !ok {
		return f.parameterDir(rel)
	}
	m := uint32(0o644)
	fixed := strings.Contains(readOnly, " "+rel+" ")
	if fixed {
		m = 0o444
	}
	e := f.file(m, func() string {
		v, _ := f.parameter(rel)
		return v + "\n"
	})
	if !fixed {
		e.Write = func(c vfs.Caller, data []byte) error {
			if c.UID != 0 {
				return vfs.EACCES
			}
			v := strings.TrimSuffix(string(data), "\n")
			if old, _ := f.parameter(rel); numeric(old) && !numeric(v) {
				return vfs.EINVAL
			}
			if !f.m.Settings.Set("sysctl/"+rel, v) {
				return vfs.EINVAL
			}
			return nil
		}
	}
	return e, true
}

func numeric(s string) bool {
	for w := range strings.FieldsSeq(s) {
		if _, err := strconv.ParseInt(w, 0, 64); err != nil {
			return false
		}
	}
	return strings.TrimSpace(s) != ""
}

func (f *Proc) parameterDir(rel string) (vfs.Entry, bool) {
	for _, n := range f.parameterNames() {
		if strings.HasPrefix(n, rel+"/") {
			return vfs.Entry{Info: f.info(vfs.Dir, 0o555, 3)}, true
		}
	}
	return vfs.Entry{}, false
}
