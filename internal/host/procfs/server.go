package procfs

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// serverFiles are the files of /proc that a server's kernel has, beside those
// that every Linux has.
var serverFiles = map[string]func(*Proc) string{
	"interrupts": (*Proc).interrupts, "softirqs": (*Proc).softirqs, "vmstat": (*Proc).vmstat, "diskstats": (*Proc).diskstats, "modules": (*Proc).modules,
	"slabinfo": (*Proc).slabinfo, "buddyinfo": (*Proc).buddyinfo, "zoneinfo": (*Proc).zoneinfo, "devices": (*Proc).devices, "misc": constant(miscDevices),
	"filesystems": constant("nodev\tsysfs\nnodev\ttmpfs\nnodev\tbdev\nnodev\tproc\nnodev\tcgroup\nnodev\tcgroup2\nnodev\tcpuset\nnodev\tdevtmpfs\nnodev\tdebugfs\nnodev\ttracefs\nnodev\tsecurityfs\nnodev\tsockfs\nnodev\tbpf\nnodev\tpipefs\nnodev\tramfs\nnodev\thugetlbfs\nnodev\tdevpts\nnodev\tmqueue\nnodev\tpstore\n\text3\n\text2\n\text4\nnodev\tautofs\nnodev\tconfigfs\n\tfuseblk\nnodev\tfuse\nnodev\tfusectl\nnodev\tbinfmt_misc\n"),
	"cgroups":     constant("#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t71\t1\ncpu\t0\t71\t1\ncpuacct\t0\t71\t1\nblkio\t0\t71\t1\nmemory\t0\t71\t1\ndevices\t0\t71\t1\nfreezer\t0\t71\t1\nnet_cls\t0\t71\t1\nperf_event\t0\t71\t1\nnet_prio\t0\t71\t1\nhugetlb\t0\t71\t1\npids\t0\t71\t1\nrdma\t0\t71\t1\nmisc\t0\t71\t1\n"),
	"consoles":    constant("tty0                 -WU (EC  p  )    4:1\n"), "dma": constant(" 4: cascade\n"), "execdomains": constant("0-0\tLinux           \t[kernel]\n"), "fb": constant("0 bochs-drmdrmfb\n"),
	"key-users": constant("    0:    18 17/17 13/1000000 257/25000000\n"), "keys": constant(""), "locks": (*Proc).locks, "mtrr": constant("reg00: base=0x080000000 ( 2048MB), size= 2048MB, count=1: uncachable\n"),
	"ioports": constant("0000-0cf7 : PCI Bus 0000:00\n  0000-001f : dma1\n  0020-0021 : pic1\n  0040-0043 : timer0\n  0060-0060 : keyboard\n  0064-0064 : keyboard\n  0070-0077 : rtc0\n  01f0-01f7 : ata_piix\n  03c0-03df : vga+\n  0cf8-0cff : PCI conf1\n  c000-ffff : PCI Bus 0000:00\n"),
	"iomem":   constant("00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n0009fc00-0009ffff : Reserved\n000a0000-000bffff : PCI Bus 0000:00\n000f0000-000fffff : Reserved\n  000f0000-000fffff : System ROM\n00100000-bffdffff : System RAM\nfeffc000-feffffff : Reserved\nfffc0000-ffffffff : Reserved\n"),
	"crypto":  constant(cryptoText), "kallsyms": constant(kallsyms), "pagetypeinfo": constant("Page block order: 9\nPages per block:  512\n\n"), "schedstat": (*Proc).schedstat, "timer_list": constant("Timer List Version: v0.9\nHRTIMER_MAX_CLOCK_BASES: 8\n"),
	"vmallocinfo": constant(""), "pressure/cpu": (*Proc).pressure, "pressure/io": (*Proc).pressure, "pressure/memory": (*Proc).pressure, "sysvipc/msg": constant("       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n"),
	"sysvipc/sem": constant("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"), "sysvipc/shm": constant("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n"),
	"bus/pci/devices": constant(""), "bus/input/devices": constant("I: Bus=0011 Vendor=0001 Product=0001 Version=ab41\nN: Name=\"AT Translated Set 2 keyboard\"\nP: Phys=isa0060/serio0/input0\nH: Handlers=sysrq kbd leds event0 \n\n"), "driver/rtc": (*Proc).rtc,
	"scsi/scsi": constant("Attached devices:\nHost: scsi2 Channel: 00 Id: 00 Lun: 00\n  Vendor: QEMU     Model: QEMU HARDDISK    Rev: 2.5+\n  Type:   Direct-Access                    ANSI  SCSI revision: 05\n"), "tty/drivers": constant("/dev/tty             /dev/tty        5       0 system:/dev/tty\n/dev/console         /dev/console    5       1 system:console\n/dev/ptmx            /dev/ptmx       5       2 system\n/dev/vc/0            /dev/vc/0       4       0 system:vtmaster\nserial               /dev/ttyS       4 64-95 serial\npty_slave            /dev/pts      136 0-1048575 pty:slave\npty_master           /dev/ptm      128 0-1048575 pty:master\nunknown              /dev/tty        4 1-63 console\n"),
}

// rootOnly are files that only root may read.
var rootOnly = map[string]bool{"slabinfo": true, "iomem": false, "vmallocinfo": true, "pagetypeinfo": true, "kmsg": true, "kcore": true}

func constant(text string) func(*Proc) string { return func(*Proc) string { return text } }

const (
	miscDevices = "122 vboxguest\n127 vga_arbiter\n123 userfaultfd\n 59 autofs\n229 fuse\n231 snapshot\n144 nvram\n228 hpet\n183 hw_random\n227 mcelog\n  1 psaux\n"
	cryptoText  = "name         : crc32c\ndriver       : crc32c-intel\nmodule       : crc32c_intel\npriority     : 200\nrefcnt       : 4\nselftest     : passed\ninternal     : no\ntype         : shash\nblocksize    : 1\ndigestsize   : 4\n\nname         : sha256\ndriver       : sha256-generic\nmodule       : kernel\npriority     : 100\nrefcnt       : 1\nselftest     : passed\ninternal     : no\ntype         : shash\nblocksize    : 64\ndigestsize   : 32\n\n"
	kallsyms    = "0000000000000000 A fixed_percpu_data\n0000000000000000 A __per_cpu_start\n0000000000000000 A cpu_debug_store\n0000000000000000 T startup_64\n0000000000000000 T _stext\n0000000000000000 T _text\n0000000000000000 T secondary_startup_64\n0000000000000000 T sys_call_table\n"
)

// up is the uptime in seconds.
func (f *Proc) up() float64 { return f.m.Uptime(f.m.Clock.Now()).Seconds() }

// count is a counter that rises by about rate a second since the start, a
// little differently on each host.
func (f *Proc) count(name string, rate float64) int64 {
	h := f.m.Persona.Seed
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return int64(f.up()*rate*(0.6+float64(h>>40%800)/1000)) + int64(h>>20%97)
}

// split shares n out among the processors.
func (f *Proc) split(name string, n int64) []int64 {
	c := int64(f.m.Persona.CPU.Cores)
	out := make([]int64, c)
	rest := n
	for i := range out {
		share := n / c * int64(900+len(name)*(i+3)%200) / 1000
		if i == len(out)-1 || share > rest {
			share = rest
		}
		out[i], rest = share, rest-share
	}
	return out
}

// irqs are the interrupts of such a machine: what uses them, and how often a second.
var irqs = []struct {
	num, chip, what string
	rate            float64
	one             int // the processor that gets it, -1 = all
}{
	{"0", "IO-APIC   2-edge", "timer", 0.000001, 0},
	{"1", "IO-APIC   1-edge", "i8042", 0.000002, 1},
	{"4", "IO-APIC   4-edge", "ttyS0", 0.000001, 0},
	{"6", "IO-APIC   6-edge", "floppy", 0.000001, 1},
	{"8", "IO-APIC   8-edge", "rtc0", 0.000001, 0},
	{"9", "IO-APIC   9-fasteoi", "acpi", 0, 0},
	{"10", "IO-APIC  10-fasteoi", "virtio0", 0.11, 1},
	{"11", "IO-APIC  11-fasteoi", "uhci_hcd:usb1", 0.000001, 0},
	{"12", "IO-APIC  12-edge", "i8042", 0.000004, 1},
	{"14", "IO-APIC  14-edge", "ata_piix", 0, 0},
	{"15", "IO-APIC  15-edge", "ata_piix", 0.5, 0},
	{"24", "PCI-MSI 81920-edge", "virtio1-config", 0, 0},
	{"25", "PCI-MSI 81921-edge", "virtio1-control", 0, 0},
	{"26", "PCI-MSI 81922-edge", "virtio1-event", 0, 0},
	{"27", "PCI-MSI 81923-edge", "virtio1-request", 1.7, 1},
	{"28", "PCI-MSI 294912-edge", "virtio2-config", 0, 0},
	{"29", "PCI-MSI 294913-edge", "virtio2-input.0", 3.1, 0},
	{"30", "PCI-MSI 294914-edge", "virtio2-output.0", 0.9, 1},
}

var ipis = []struct {
	name, what string
	rate       float64
}{
	{"NMI", "Non-maskable interrupts", 0},
	{"LOC", "Local timer interrupts", 41},
	{"SPU", "Spurious interrupts", 0},
	{"PMI", "Performance monitoring interrupts", 0},
	{"IWI", "IRQ work interrupts", 0.0002},
	{"RTR", "APIC ICR read retries", 0},
	{"RES", "Rescheduling interrupts", 1.3},
	{"CAL", "Function call interrupts", 2.2},
	{"TLB", "TLB shootdowns", 0.4},
	{"TRM", "Thermal event interrupts", 0},
	{"THR", "Threshold APIC interrupts", 0},
	{"DFR", "Deferred Error APIC interrupts", 0},
	{"MCE", "Machine check exceptions", 0},
	{"MCP", "Machine check polls", 0.0033},
	{"HYP", "Hypervisor callback interrupts", 0},
	{"PIN", "Posted-interrupt notification event", 0},
	{"NPI", "Nested posted-interrupt event", 0},
	{"PIW", "Posted-interrupt wakeup event", 0},
}

func (f *Proc) interrupts() string {
	var b strings.Builder
	cores := f.m.Persona.CPU.Cores
	b.WriteString("    ")
	for i := range cores {
		fmt.Fprintf(&b, "       CPU%-4d", i)
	}
	b.WriteString("\n")
	for _, q := range irqs {
		fmt.Fprintf(&b, "%3s:", q.num)
		for i := range cores {
			n := int64(0)
			if i == q.one%cores && q.rate > 0 {
				n = f.count("irq"+q.num, q.rate)
			}
			fmt.Fprintf(&b, " %10d", n)
		}
		fmt.Fprintf(&b, "  %-20s %s\n", q.chip, q.what)
	}
	for _, q := range ipis {
		fmt.Fprintf(&b, "%3s:", q.name)
		each := f.split(q.name, f.count(q.name, q.rate*float64(cores)))
		for i := range cores {
			n := each[i]
			if q.rate == 0 {
				n = 0
			}
			fmt.Fprintf(&b, " %10d", n)
		}
		fmt.Fprintf(&b, "   %s\n", q.what)
		if q.name == "HYP" {
			b.WriteString("ERR:          0\nMIS:          0\n")
		}
	}
	return b.String()
}

// interrupted is how many interrupts there were, as /proc/stat counts them.
func (f *Proc) interrupted() int64 {
	n := int64(0)
	for _, q := range irqs {
		if q.rate > 0 {
			n += f.count("irq"+q.num, q.rate)
		}
	}
	for _, q := range ipis {
		if q.rate > 0 {
			n += f.count(q.name, q.rate*float64(f.m.Persona.CPU.Cores))
		}
	}
	return n
}

var softirq = []struct {
	name string
	rate float64
}{{"HI", 0}, {"TIMER", 9.1}, {"NET_TX", 0.0008}, {"NET_RX", 3.2}, {"BLOCK", 1.6}, {"IRQ_POLL", 0}, {"TASKLET", 0.002}, {"SCHED", 14}, {"HRTIMER", 0.00004}, {"RCU", 11}}

func (f *Proc) softirqs() string {
	var b strings.Builder
	b.WriteString("                    ")
	for i := range f.m.Persona.CPU.Cores {
		fmt.Fprintf(&b, "CPU%-8d", i)
	}
	b.WriteString("\n")
	for _, s := range softirq {
		fmt.Fprintf(&b, "%12s:", s.name)
		n := int64(0)
		if s.rate > 0 {
			n = f.count("soft"+s.name, s.rate*float64(f.m.Persona.CPU.Cores))
		}
		for _, v := range f.split(s.name, n) {
			fmt.Fprintf(&b, " %10d", v)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// memory in pages, as /proc/meminfo has it.
func (f *Proc) pages() map[string]int64 {
	i := f.m.MemInfo(f.m.Clock.Now())
	return map[string]int64{
		"nr_free_pages": i.Free / 4, "nr_zone_inactive_anon": i.Total / 34 / 4, "nr_zone_active_anon": i.Total / 900 / 4, "nr_zone_inactive_file": i.Cached / 3 / 4, "nr_zone_active_file": i.Cached / 2 / 4,
		"nr_inactive_anon": i.Total / 34 / 4, "nr_active_anon": i.Total / 900 / 4, "nr_inactive_file": i.Cached / 3 / 4, "nr_active_file": i.Cached / 2 / 4, "nr_slab_reclaimable": i.Total / 80 / 4, "nr_slab_unreclaimable": (i.Total/50 - i.Total/80) / 4,
		"nr_anon_pages": i.Total / 30 / 4, "nr_mapped": i.Total / 40 / 4, "nr_file_pages": (i.Cached + i.Buffers) / 4, "nr_dirty": 10, "nr_shmem": i.Shared / 4, "nr_kernel_stack": 2400, "nr_page_table_pages": 450,
		"nr_dirty_threshold": i.Available / 4 / 5, "nr_dirty_background_threshold": i.Available / 4 / 10,
	}
}

// vmCounters are the names of /proc/vmstat in order; with a rate where it counts.
const vmCounters = `nr_free_pages nr_zone_inactive_anon nr_zone_active_anon nr_zone_inactive_file nr_zone_active_file nr_zone_unevictable nr_zone_write_pending nr_mlock nr_bounce nr_zspages nr_free_cma numa_hit=210 numa_miss numa_foreign
numa_interleave=0.003 numa_local=210 numa_other nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable nr_slab_reclaimable nr_slab_unreclaimable nr_isolated_anon nr_isolated_file workingset_nodes=0.0001
workingset_refault_anon workingset_refault_file=0.02 workingset_activate_anon workingset_activate_file=0.01 workingset_restore_anon workingset_restore_file=0.004 workingset_nodereclaim nr_anon_pages nr_mapped nr_file_pages nr_dirty
nr_writeback nr_writeback_temp nr_shmem nr_shmem_hugepages nr_shmem_pmdmapped nr_file_hugepages nr_file_pmdmapped nr_anon_transparent_hugepages nr_vmscan_write nr_vmscan_immediate_reclaim nr_dirtied=3.1 nr_written=2.7
nr_throttled_written nr_kernel_misc_reclaimable nr_foll_pin_acquired nr_foll_pin_released nr_kernel_stack nr_page_table_pages nr_sec_page_table_pages nr_swapcached nr_dirty_threshold nr_dirty_background_threshold pgpgin=4.2
pgpgout=11.9 pswpin pswpout pgalloc_dma pgalloc_dma32=70 pgalloc_normal=150 pgalloc_movable allocstall_dma allocstall_dma32 allocstall_normal allocstall_movable pgskip_dma pgskip_dma32 pgskip_normal pgskip_movable pgfree=222
pgactivate=0.3 pgdeactivate=0.01 pglazyfree=0.02 pgfault=190 pgmajfault=0.004 pglazyfreed pgrefill=0.02 pgreuse=14 pgsteal_kswapd=0.3 pgsteal_direct pgdemote_kswapd pgdemote_direct pgscan_kswapd=0.31 pgscan_direct
pgscan_direct_throttle pgscan_anon pgscan_file=0.31 pgsteal_anon pgsteal_file=0.3 zone_reclaim_failed pginodesteal slabs_scanned=0.4 kswapd_inodesteal=0.001 kswapd_low_wmark_hit_quickly=0.00002 kswapd_high_wmark_hit_quickly=0.00001
pageoutrun=0.0001 pgrotated=0.002 drop_pagecache drop_slab oom_kill numa_pte_updates numa_huge_pte_updates numa_hint_faults numa_hint_faults_local numa_pages_migrated pgmigrate_success=0.05 pgmigrate_fail thp_migration_success
thp_migration_fail thp_migration_split compact_migrate_scanned=0.2 compact_free_scanned=0.7 compact_isolated=0.1 compact_stall compact_fail compact_success compact_daemon_wake=0.0001 compact_daemon_migrate_scanned=0.1
compact_daemon_free_scanned=0.3 htlb_buddy_alloc_success htlb_buddy_alloc_fail unevictable_pgs_culled=0.01 unevictable_pgs_scanned unevictable_pgs_rescued=0.009 unevictable_pgs_mlocked unevictable_pgs_munlocked unevictable_pgs_cleared
unevictable_pgs_stranded thp_fault_alloc=0.0003 thp_fault_fallback thp_fault_fallback_charge thp_collapse_alloc=0.0002 thp_collapse_alloc_failed thp_file_alloc thp_file_fallback thp_file_fallback_charge thp_file_mapped
thp_split_page=0.00002 thp_split_page_failed thp_deferred_split_page=0.0001 thp_split_pmd=0.0003 thp_scan_exceed_none_pte thp_scan_exceed_swap_pte thp_scan_exceed_share_pte thp_split_pud thp_zero_page_alloc thp_zero_page_alloc_failed
thp_swpout thp_swpout_fallback balloon_inflate balloon_deflate balloon_migrate swap_ra swap_ra_hit ksm_swpin_copy cow_ksm zswpin zswpout direct_map_level2_splits=0.00004 direct_map_level3_splits=0.000005 nr_unstable`

func (f *Proc) vmstat() string {
	var b strings.Builder
	now := f.pages()
	for w := range strings.FieldsSeq(vmCounters) {
		name, rate, counts := strings.Cut(w, "=")
		v := now[name]
		if r, err := strconv.ParseFloat(rate, 64); counts && err == nil {
			v = f.count("vm"+name, r)
		}
		fmt.Fprintf(&b, "%s %d\n", name, v)
	}
	return b.String()
}

func (f *Proc) diskstats() string {
	var b strings.Builder
	p := f.m.Persona
	for i, m := range p.Mounts {
		if name, loop := strings.CutPrefix(m.Source, "/dev/loop"); loop {
			fmt.Fprintf(&b, "   7 %7s loop%[1]s %d 0 %d %d 0 0 0 0 0 %[4]d %[4]d 0 0 0 0 0 0\n", name, 50+i*31, 400+i*900, 30+i)
		}
	}
	for _, d := range p.Disks {
		part := func(minor int, name string, share float64) {
			reads, writes := f.count("rd"+d.Name, 0.13*share), f.count("wr"+d.Name, 1.1*share)
			ms := reads/3 + writes
			fmt.Fprintf(&b, "   8 %7d %s %d %d %d %d %d %d %d %d 0 %d %d 0 0 0 0 %d %d\n", minor, name, reads, reads/3, reads*46, reads/3, writes, writes*4/3, writes*21, writes, ms*2/3, ms, f.count("fl", 0.2*share), f.count("fl", 0.03*share))
		}
		part(0, d.Name, 1)
		for i, q := range d.Parts {
			share := 0.0001
			if q.Mount == "/" {
				share = 0.99
			}
			part(minorOf(d, i), q.Name, share)
		}
	}
	b.WriteString("  11       0 sr0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n")
	return b.String()
}

// minorOf is the minor number of the i-th partition: its number on the disk.
func minorOf(d persona.Disk, i int) int {
	n, err := strconv.Atoi(strings.TrimPrefix(d.Parts[i].Name, d.Name))
	if err != nil {
		return i + 1
	}
	return n
}

func (f *Proc) modules() string {
	var b strings.Builder
	for _, m := range f.m.Loaded() {
		by := strings.Join(m.By, ",")
		if by == "" {
			by = "-"
		} else {
			by += ","
		}
		fmt.Fprintf(&b, "%s %d %d %s Live 0x0000000000000000\n", m.Name, m.Size, m.Uses+len(m.By), by)
	}
	return b.String()
}

// slabs are caches of the kernel: objects per megabyte of memory, bytes, objects and pages a slab.
const slabs = `ext4_inode_cache:9.1:1176:27:8 ext4_extent_status:7.2:40:102:1 jbd2_journal_head:0.4:120:34:1 buffer_head:31:104:39:1 dentry:14.4:192:21:1 inode_cache:4.6:648:25:4 proc_inode_cache:0.7:704:23:4 sock_inode_cache:0.1:832:19:4
shmem_inode_cache:0.4:768:21:4 kernfs_node_cache:11:128:32:1 radix_tree_node:4.1:584:28:4 vm_area_struct:3.2:192:21:1 anon_vma:1.1:104:39:1 anon_vma_chain:1.9:64:64:1 mm_struct:0.05:1152:28:8 files_cache:0.05:704:23:4 signal_cache:0.06:1152:28:8
sighand_cache:0.06:2112:15:8 task_struct:0.08:8512:3:8 cred_jar:0.5:192:21:1 pid:0.1:128:32:1 filp:0.9:256:32:2 TCP:0.01:2432:13:8 TCPv6:0.01:2624:12:8 UDP:0.01:1344:24:8 RAW:0.01:1024:32:8 kmalloc-8k:0.03:8192:4:8 kmalloc-4k:0.1:4096:8:8
kmalloc-2k:0.4:2048:16:8 kmalloc-1k:0.6:1024:32:8 kmalloc-512:1.2:512:32:4 kmalloc-256:0.8:256:32:2 kmalloc-192:1.3:192:21:1 kmalloc-128:0.5:128:32:1 kmalloc-96:0.8:96:42:1 kmalloc-64:4.2:64:64:1 kmalloc-32:5.1:32:128:1 kmalloc-16:3.9:16:256:1
kmalloc-8:2.9:8:512:1 kmem_cache_node:0.2:64:64:1 kmem_cache:0.1:256:32:2`

func (f *Proc) slabinfo() string {
	var b strings.Builder
	b.WriteString("slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n")
	mb := float64(f.m.Persona.Memory.TotalKB) / 1024
	drift := int64(f.up()/30) % 40
	for w := range strings.FieldsSeq(slabs) {
		q := strings.Split(w, ":")
		per, _ := strconv.ParseFloat(q[1], 64)
		size, _ := strconv.ParseInt(q[2], 10, 64)
		each, _ := strconv.ParseInt(q[3], 10, 64)
		objs := int64(per*mb) + drift
		n := (objs + each - 1) / each
		fmt.Fprintf(&b, "%-17s %6d %6d %6d %4d %4s : tunables    0    0    0 : slabdata %6d %6d      0\n", q[0], objs, n*each, size, each, q[4], n, n)
	}
	return b.String()
}

func (f *Proc) zones() []string {
	if f.m.Persona.Memory.TotalKB > 3_400_000 {
		return []string{"DMA", "DMA32", "Normal"}
	}
	return []string{"DMA", "DMA32"}
}

func (f *Proc) buddyinfo() string {
	var b strings.Builder
	free := f.m.MemInfo(f.m.Clock.Now()).Free / 4
	for i, z := range f.zones() {
		pages := free * []int64{1, 60, 39}[i] / 100
		if i == 0 {
			pages = 3840
		}
		r := rand.New(rand.NewPCG(f.m.Persona.Seed, uint64(free)/64+uint64(i)))
		fmt.Fprintf(&b, "Node 0, zone %8s ", z)
		for order := range 10 {
			n := pages / 30 >> order
			if n > 3 {
				n += r.Int64N(n/3 + 1)
			}
			fmt.Fprintf(&b, "%6d ", n)
		}
		fmt.Fprintf(&b, "%6d \n", pages*2/3>>10)
	}
	return b.String()
}

func (f *Proc) zoneinfo() string {
	var b strings.Builder
	p := f.pages()
	total := f.m.Persona.Memory.TotalKB / 4
	for i, z := range f.zones() {
		managed := []int64{3840, min(total, 765_000), max(total-765_000, 0)}[i]
		fmt.Fprintf(&b, "Node 0, zone %8s\n", z)
		if i == 0 {
			b.WriteString("  per-node stats\n")
			for _, n := range []string{"nr_inactive_anon", "nr_active_anon", "nr_inactive_file", "nr_active_file", "nr_slab_reclaimable", "nr_slab_unreclaimable", "nr_anon_pages", "nr_mapped", "nr_file_pages", "nr_dirty", "nr_shmem", "nr_kernel_stack", "nr_page_table_pages"} {
				fmt.Fprintf(&b, "      %-12s %d\n", n, p[n])
			}
		}
		free := p["nr_free_pages"] * managed / max(total, 1)
		fmt.Fprintf(&b, "  pages free     %d\n        boost    0\n        min      %d\n        low      %d\n        high     %d\n        spanned  %d\n        present  %d\n        managed  %d\n        cma      0\n        protection: (0, 2926, 3860, 3860, 3860)\n      nr_free_pages %d\n", free, managed/240, managed/192, managed/160, managed+255, managed+158, managed, free)
	}
	return b.String()
}

func (f *Proc) devices() string {
	return "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n  4 ttyS\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n  7 vcs\n 10 misc\n 13 input\n 21 sg\n 29 fb\n128 ptm\n136 pts\n180 usb\n189 usb_device\n226 drm\n248 virtio-portsdev\n249 bsg\n250 watchdog\n251 ptp\n252 pps\n253 rtc\n254 gpiochip\n\nBlock devices:\n  2 fd\n  7 loop\n  8 sd\n  9 md\n 11 sr\n 65 sd\n 66 sd\n 67 sd\n253 virtblk\n254 mdp\n259 blkext\n"
}

func (f *Proc) locks() string {
	cron := 1
	for _, q := range f.m.Persona.Procs {
		if q.Name == "cron" {
			cron = q.PID
		}
	}
	return fmt.Sprintf("1: FLOCK  ADVISORY  WRITE %d 00:18:612 0 EOF\n", cron)
}

func (f *Proc) schedstat() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version 15\ntimestamp %d\n", 4294892296+int64(f.up()*250))
	for i := range f.m.Persona.CPU.Cores {
		fmt.Fprintf(&b, "cpu%d 0 0 0 0 0 0 %d %d %d\n", i, f.count("sched"+strconv.Itoa(i), 9_000_000), f.count("wait"+strconv.Itoa(i), 400_000), f.count("slices"+strconv.Itoa(i), 80))
	}
	return b.String()
}

func (f *Proc) pressure() string {
	return fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=%d\n", f.count("psi", 31), f.count("psifull", 20))
}

func (f *Proc) rtc() string {
	now := f.m.Clock.Now().UTC()
	return "rtc_time\t: " + now.Format("15:04:05") + "\nrtc_date\t: " + now.Format("2006-01-02") + "\nalrm_time\t: 00:00:00\nalrm_date\t: ****-**-**\nalarm_IRQ\t: no\n24hr\t\t: yes\nperiodic_IRQ\t: no\nBCD\t\t: no\n"
}

// mode is the mode of a file of /proc.
func mode(rel string) uint32 {
	if rootOnly[rel] {
		return 0o400
	}
	return 0o444
}

var _ vfs.Provider = (*Proc)(nil)
