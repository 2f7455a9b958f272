package redis

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// What the server claims to be: Debian 12's redis-server.
const (
	version = "7.0.15"
	home    = "/var/lib/redis"
)

// server are the commands about the server as a whole.
func server() map[string]func(*visit, [][]byte) {
	return map[string]func(*visit, [][]byte){
		"info": info, "config": configCommand, "acl": acl,
		"time": func(v *visit, _ [][]byte) {
			now := v.s.Clock.Now()
			v.out.bulks([]string{strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond() / 1000)})
		},
		"lastsave": func(v *visit, _ [][]byte) { v.out.int(v.view.saved.Unix()) },
		"save":     func(v *visit, _ [][]byte) { v.save(); v.out.status("OK") },
		"bgsave":   func(v *visit, _ [][]byte) { v.save(); v.out.status("Background saving started") },
		"bgrewriteaof": func(v *visit, _ [][]byte) {
			v.out.status("Background append only file rewriting started")
		},
		"slowlog": func(v *visit, a [][]byte) {
			switch lower(a[1]) {
			case "get":
				v.out.list(0)
			case "len":
				v.out.int(0)
			case "reset":
				v.out.status("OK")
			default:
				v.noSuch(a)
			}
		},
		"memory": func(v *visit, a [][]byte) {
			switch lower(a[1]) {
			case "usage":
				if len(a) > 2 {
					if x := v.view.get(v.db, string(a[2]), v.s.Clock.Now()); x != nil {
						v.out.int(x.size())
						return
					}
				}
				v.out.null()
			case "doctor":
				v.out.text("Hi Sam, this instance is empty or is using very little memory, my issue detector can't be used in these conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will be back to our programming as soon as I finished rebooting.\n")
			case "purge":
				v.out.status("OK")
			default:
				v.noSuch(a)
			}
		},
		"cluster":  func(v *visit, _ [][]byte) { v.out.fail("ERR This instance has cluster support disabled") },
		"readonly": func(v *visit, _ [][]byte) { v.out.fail("ERR This instance has cluster support disabled") },
		"asking":   func(v *visit, _ [][]byte) { v.out.fail("ERR This instance has cluster support disabled") },
		"role":     role,
		"wait":     func(v *visit, _ [][]byte) { v.out.int(0) },
		"pubsub":   func(v *visit, _ [][]byte) { v.out.list(0) },
		"latency":  func(v *visit, _ [][]byte) { v.out.list(0) },
		"lolwut":   func(v *visit, _ [][]byte) { v.out.text("Redis ver. " + version + "\n") },
		"swapdb":   ok,
	}
}

func role(v *visit, _ [][]byte) {
	if v.view.master[0] == "" {
		v.out.list(3)
		v.out.bulk("master")
		v.out.int(0)
		v.out.list(0)
		return
	}
	port, _ := number([]byte(v.view.master[1]))
	v.out.list(5)
	v.out.bulk("slave")
	v.out.bulk(v.view.master[0])
	v.out.int(port)
	v.out.bulk("connect")
	v.out.int(-1)
}

func acl(v *visit, a [][]byte) {
	switch lower(a[1]) {
	case "whoami":
		v.out.bulk(v.user)
	case "users":
		v.out.bulks([]string{"default"})
	case "list":
		how := "nopass"
		if v.c.Password {
			how = "#" + fmt.Sprintf("%064x", v.c.Seed|1)
		}
		v.out.bulks([]string{"user default on " + how + " sanitize-payload ~* &* +@all"})
	case "cat":
		v.out.bulks([]string{"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"})
	case "setuser", "deluser", "save", "load", "log":
		v.out.fail("ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.")
	default:
		v.noSuch(a)
	}
}

// settings are those that CONFIG GET knows.
func (v *visit) settings() map[string]string {
	m := map[string]string{
		"dir": home, "dbfilename": "dump.rdb", "port": strconv.Itoa(int(v.s.Local.Port())), "bind": "0.0.0.0", "protected-mode": "no", "requirepass": "",
		"databases": strconv.Itoa(databases), "maxclients": "10000", "maxmemory": "0", "maxmemory-policy": "noeviction", "maxmemory-samples": "5", "appendonly": "no",
		"appendfilename": "appendonly.aof", "appenddirname": "appendonlydir", "appendfsync": "everysec", "save": "3600 1 300 100 60 10000", "daemonize": "yes", "supervised": "systemd",
		"pidfile": "/run/redis/redis-server.pid", "logfile": "/var/log/redis/redis-server.log", "loglevel": "notice", "timeout": "0", "tcp-keepalive": "300", "tcp-backlog": "511",
		"unixsocket": "", "unixsocketperm": "0", "rdbcompression": "yes", "rdbchecksum": "yes", "stop-writes-on-bgsave-error": "yes", "slaveof": "", "replicaof": "",
		"slave-read-only": "yes", "replica-read-only": "yes", "masterauth": "", "masteruser": "", "repl-timeout": "60", "repl-diskless-sync": "yes", "lua-time-limit": "5000",
		"slowlog-log-slower-than": "10000", "slowlog-max-len": "128", "hz": "10", "dynamic-hz": "yes", "io-threads": "1", "cluster-enabled": "no", "aclfile": "",
		"enable-protected-configs": "yes", "enable-debug-command": "no", "enable-module-command": "yes", "proto-max-bulk-len": "536870912", "client-query-buffer-limit": "1073741824",
		"notify-keyspace-events": "", "tls-port": "0", "latency-tracking": "yes", "syslog-enabled": "no", "syslog-ident": "redis", "always-show-logo": "no",
		"activerehashing": "yes", "lazyfree-lazy-eviction": "no", "set-proc-title": "yes", "proc-title-template": "{title} {listen-addr} {server-mode}",
	}
	if v.c.Password {
		m["protected-mode"] = "yes"
	}
	maps.Copy(m, v.view.config)
	if v.view.master[0] != "" {
		m["slaveof"] = v.view.master[0] + " " + v.view.master[1]
		m["replicaof"] = m["slaveof"]
	}
	return m
}

func configCommand(v *visit, a [][]byte) {
	switch sub := lower(a[1]); {
	case sub == "get" && len(a) > 2:
		all := v.settings()
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(k string) bool {
			return !slices.ContainsFunc(a[2:], func(p []byte) bool { return match(lower(p), k) })
		})
		v.out.dict(len(names))
		for _, k := range names {
			v.out.bulk(k)
			v.out.bulk(all[k])
		}
	case sub == "set" && len(a) > 3 && len(a)%2 == 0:
		v.configSet(a)
	case sub == "resetstat" && len(a) == 2:
		v.out.status("OK")
	case sub == "rewrite" && len(a) == 2:
		v.out.fail("ERR Rewriting config file: Permission denied")
	case sub == "get" || sub == "set":
		v.wrongNumber(a)
	default:
		v.noSuch(a)
	}
}

const maxSetting = 4096

func (v *visit) configSet(a [][]byte) {
	all := v.settings()
	for i := 2; i < len(a); i += 2 {
		name, val := lower(a[i]), string(a[i+1])
		if _, known := all[name]; !known {
			v.out.fail("ERR Unknown option or number of arguments for CONFIG SET - '" + string(a[i][:min(len(a[i]), 128)]) + "'")
			return
		}
		if why := v.refused(name, val); why != "" {
			v.out.fail("ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + why)
			return
		}
	}
	for i := 2; i < len(a); i += 2 {
		v.view.config[lower(a[i])] = string(a[i+1])
	}
	v.out.status("OK")
}

// refused says why a setting does not take a value ("" = it does).
func (v *visit) refused(name, val string) string {
	switch name {
	case "dir":
		dir := path.Join("/", val)
		if !path.IsAbs(val) {
			dir = path.Join(v.dir(), val)
		}
		info, err := v.host.M.FS.Stat(vfs.Root(), dir)
		switch {
		case dir == home:
		case err != nil:
			return "No such file or directory"
		case info.Kind != vfs.Dir:
			return "Not a directory"
		}
	case "dbfilename":
		if strings.ContainsAny(val, "/\\") {
			return "dbfilename can't be a path, just a filename"
		}
	case "port", "bind", "daemonize", "databases", "pidfile", "supervised", "unixsocket", "enable-protected-configs", "enable-debug-command", "enable-module-command", "logfile", "cluster-enabled", "aclfile":
		return "can't set immutable config"
	}
	if len(val) > maxSetting {
		return "argument must be one of the supported ones"
	}
	return ""
}

func (v *visit) dir() string {
	if d := v.view.config["dir"]; d != "" {
		return path.Clean(d)
	}
	return home
}

// save writes the dump where CONFIG SET dir and dbfilename say: into the fake
// host as this source sees it, and into the captures, since that is how a key or
// a cron line is planted.
func (v *visit) save() {
	v.view.saved, v.view.dirty = v.s.Clock.Now(), 0
	name := "dump.rdb"
	if n := v.view.config["dbfilename"]; n != "" {
		name = n
	}
	where := path.Join(v.dir(), name)
	if where == path.Join(home, "dump.rdb") {
		return
	}
	data := v.dump()
	if v.rec != nil {
		v.rec.Capture(where, bytes.NewReader(data), "redis dump")
	}
	v.host.M.FS.WriteFile(vfs.Root(), where, data, 0o644) //nolint:errcheck // a full disk is full
}

// dump is the keys as an RDB file of version 10 holds strings; other kinds are
// left out. What a visitor planted between line ends stays as he wrote it.
func (v *visit) dump() []byte {
	b := []byte("REDIS0010\xfa\x09redis-ver\x06" + version + "\xfa\x0aredis-bits\xc0@")
	for i, db := range v.view.db {
		names := v.view.sortedKeys(i, v.s.Clock.Now())
		if len(names) == 0 {
			continue
		}
		b = append(b, 0xfe, byte(i))
		for _, k := range names {
			if x := db[k]; x != nil && x.kind == text {
				b = rdbString(rdbString(append(b, 0), k), x.s)
			}
		}
	}
	return append(b, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)
}

func rdbString(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 64:
		b = append(b, byte(n))
	case n < 1<<14:
		b = append(b, 0x40|byte(n>>8), byte(n))
	default:
		b = append(b, 0x80, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, s...)
}

// info is what INFO says, section by section.
func info(v *visit, a [][]byte) {
	sections := v.sections()
	var b strings.Builder
	for _, s := range sections {
		asked := len(a) == 1 && s.usual
		for _, name := range a[1:] {
			switch n := lower(name); n {
			case "all", "everything":
				asked = true
			case "default":
				asked = asked || s.usual
			default:
				asked = asked || n == strings.ToLower(s.name)
			}
		}
		if asked {
			if b.Len() > 0 {
				b.WriteString("\r\n")
			}
			b.WriteString("# " + s.name + "\r\n" + strings.ReplaceAll(s.text, "\n", "\r\n"))
		}
	}
	v.out.text(b.String())
}

type section struct {
	name, text string
	usual      bool
}

func (v *visit) sections() []section {
	now := v.s.Clock.Now()
	up := int64(now.Sub(v.start).Seconds())
	p := v.s.Host.Persona()
	r := kernel.NewRand(v.c.Seed, 7)
	var id [20]byte
	r.Read(id[:]) //nolint:errcheck // never fails
	run := hex.EncodeToString(id[:])
	r.Read(id[:]) //nolint:errcheck // never fails
	repl := hex.EncodeToString(id[:])
	held := 871_000 + v.view.held*3/2 + up%4096*8
	total := p.Memory.TotalKB * 1024
	return []section{
		{"Server", fmt.Sprintf("redis_version:%s\nredis_git_sha1:00000000\nredis_git_dirty:0\nredis_build_id:ae4d7c971a948f0\nredis_mode:standalone\nos:Linux %s x86_64\narch_bits:64\nmonotonic_clock:POSIX clock_gettime\nmultiplexing_api:epoll\natomicvar_api:c11-builtin\ngcc_version:12.2.0\nprocess_id:%d\nprocess_supervised:systemd\nrun_id:%s\ntcp_port:%d\nserver_time_usec:%d\nuptime_in_seconds:%d\nuptime_in_days:%d\nhz:10\nconfigured_hz:10\nlru_clock:%d\nexecutable:/usr/bin/redis-server\nconfig_file:/etc/redis/redis.conf\nio_threads_active:0\n",
			version, p.Kernel.Release, 600+v.c.Seed%300, run, v.s.Local.Port(), now.UnixMicro(), up, up/86400, now.Unix()&0xffffff), true},
		{"Clients", "connected_clients:3\ncluster_connections:0\nmaxclients:10000\nclient_recent_max_input_buffer:20480\nclient_recent_max_output_buffer:0\nblocked_clients:0\ntracking_clients:0\nclients_in_timeout_table:0\n", true},
		{"Memory", memoryInfo(held, total), true},
		{"Persistence", fmt.Sprintf("loading:0\nasync_loading:0\ncurrent_cow_peak:0\ncurrent_cow_size:0\ncurrent_cow_size_age:0\ncurrent_fork_perc:0.00\ncurrent_save_keys_processed:0\ncurrent_save_keys_total:0\nrdb_changes_since_last_save:%d\nrdb_bgsave_in_progress:0\nrdb_last_save_time:%d\nrdb_last_bgsave_status:ok\nrdb_last_bgsave_time_sec:0\nrdb_current_bgsave_time_sec:-1\nrdb_saves:%d\nrdb_last_cow_size:438272\nrdb_last_load_keys_expired:0\nrdb_last_load_keys_loaded:31\naof_enabled:0\naof_rewrite_in_progress:0\naof_rewrite_scheduled:0\naof_last_rewrite_time_sec:-1\naof_current_rewrite_time_sec:-1\naof_last_bgrewrite_status:ok\naof_rewrites:0\naof_rewrites_consecutive_failures:0\naof_last_write_status:ok\naof_last_cow_size:0\nmodule_fork_in_progress:0\nmodule_fork_last_cow_size:0\n",
			v.view.dirty, v.view.saved.Unix(), up/3600), true},
		{"Stats", fmt.Sprintf("total_connections_received:%d\ntotal_commands_processed:%d\ninstantaneous_ops_per_sec:%d\ntotal_net_input_bytes:%d\ntotal_net_output_bytes:%d\ntotal_net_repl_input_bytes:0\ntotal_net_repl_output_bytes:0\ninstantaneous_input_kbps:0.31\ninstantaneous_output_kbps:1.92\ninstantaneous_input_repl_kbps:0.00\ninstantaneous_output_repl_kbps:0.00\nrejected_connections:0\nsync_full:0\nsync_partial_ok:0\nsync_partial_err:0\nexpired_keys:%d\nexpired_stale_perc:0.00\nexpired_time_cap_reached_count:0\nexpire_cycle_cpu_milliseconds:%d\nevicted_keys:0\nevicted_clients:0\ntotal_eviction_exceeded_time:0\ncurrent_eviction_exceeded_time:0\nkeyspace_hits:%d\nkeyspace_misses:%d\npubsub_channels:0\npubsub_patterns:0\npubsubshard_channels:0\nlatest_fork_usec:412\ntotal_forks:%d\nmigrate_cached_sockets:0\nslave_expires_tracked_keys:0\nactive_defrag_hits:0\nactive_defrag_misses:0\nactive_defrag_key_hits:0\nactive_defrag_key_misses:0\ntotal_active_defrag_time:0\ncurrent_active_defrag_time:0\ntracking_total_keys:0\ntracking_total_items:0\ntracking_total_prefixes:0\nunexpected_error_replies:0\ntotal_error_replies:%d\ndump_payload_sanitizations:0\ntotal_reads_processed:%d\ntotal_writes_processed:%d\nio_threaded_reads_processed:0\nio_threaded_writes_processed:0\nreply_buffer_shrinks:%d\nreply_buffer_expands:%d\n",
			v.id, up/2, up%7, up*47, up*220, up/90, up/60, up/3, up/31, up/3600, up/4000, up/2+9, up/2+4, up/300, up/310), true},
		{"Replication", v.replication(repl), true},
		{"CPU", fmt.Sprintf("used_cpu_sys:%.6f\nused_cpu_user:%.6f\nused_cpu_sys_children:%.6f\nused_cpu_user_children:%.6f\nused_cpu_sys_main_thread:%.6f\nused_cpu_user_main_thread:%.6f\n",
			float64(up)/870, float64(up)/910, float64(up)/90000, float64(up)/70000, float64(up)/871, float64(up)/911), true},
		{"Modules", "", true},
		{"Errorstats", "errorstat_ERR:count=" + strconv.FormatInt(up/4000+1, 10) + "\n", true},
		{"Cluster", "cluster_enabled:0\n", true},
		{"Keyspace", v.keyspaceInfo(now), true},
	}
}

func memoryInfo(held, total int64) string {
	mib := func(n int64) string {
		if n >= 1<<30 {
			return fmt.Sprintf("%.2fG", float64(n)/(1<<30))
		}
		return fmt.Sprintf("%.2fM", float64(n)/(1<<20))
	}
	rss := held*2 + 9_400_000
	return fmt.Sprintf("used_memory:%d\nused_memory_human:%s\nused_memory_rss:%d\nused_memory_rss_human:%s\nused_memory_peak:%d\nused_memory_peak_human:%s\nused_memory_peak_perc:%.2f%%\nused_memory_overhead:%d\nused_memory_startup:862344\nused_memory_dataset:%d\nused_memory_dataset_perc:%.2f%%\nallocator_allocated:%d\nallocator_active:%d\nallocator_resident:%d\ntotal_system_memory:%d\ntotal_system_memory_human:%s\nused_memory_lua:31744\nused_memory_vm_eval:31744\nused_memory_lua_human:31.00K\nused_memory_scripts_eval:0\nnumber_of_cached_scripts:0\nnumber_of_functions:0\nnumber_of_libraries:0\nused_memory_vm_functions:32768\nused_memory_vm_total:64512\nused_memory_vm_total_human:63.00K\nused_memory_functions:184\nused_memory_scripts:184\nused_memory_scripts_human:184B\nmaxmemory:0\nmaxmemory_human:0B\nmaxmemory_policy:noeviction\nallocator_frag_ratio:1.20\nallocator_frag_bytes:262144\nallocator_rss_ratio:2.41\nallocator_rss_bytes:3141632\nrss_overhead_ratio:1.91\nrss_overhead_bytes:4968448\nmem_fragmentation_ratio:%.2f\nmem_fragmentation_bytes:%d\nmem_not_counted_for_evict:0\nmem_replication_backlog:0\nmem_total_replication_buffers:0\nmem_clients_slaves:0\nmem_clients_normal:5670\nmem_cluster_links:0\nmem_aof_buffer:0\nmem_allocator:jemalloc-5.3.0\nactive_defrag_running:0\nlazyfree_pending_objects:0\nlazyfreed_objects:0\n",
		held, mib(held), rss, mib(rss), held+61_000, mib(held+61_000), 100*float64(held)/float64(held+61_000), int64(866_000), held-866_000, 100*float64(held-866_000)/float64(max(held-862_344, 1)),
		held+412_000, held+690_000, held+3_800_000, total, mib(total), float64(rss)/float64(held), rss-held)
}

func (v *visit) replication(id string) string {
	const tail = "master_failover_state:no-failover\nmaster_replid:%s\nmaster_replid2:0000000000000000000000000000000000000000\nmaster_repl_offset:0\nsecond_repl_offset:-1\nrepl_backlog_active:0\nrepl_backlog_size:1048576\nrepl_backlog_first_byte_offset:0\nrepl_backlog_histlen:0\n"
	if m := v.view.master; m[0] != "" {
		return fmt.Sprintf("role:slave\nmaster_host:%s\nmaster_port:%s\nmaster_link_status:down\nmaster_last_io_seconds_ago:-1\nmaster_sync_in_progress:0\nslave_read_repl_offset:0\nslave_repl_offset:0\nmaster_link_down_since_seconds:-1\nslave_priority:100\nslave_read_only:1\nreplica_announced:1\nconnected_slaves:0\n"+tail, m[0], m[1], id)
	}
	return fmt.Sprintf("role:master\nconnected_slaves:0\n"+tail, id)
}

func (v *visit) keyspaceInfo(now time.Time) string {
	var b strings.Builder
	for i := range v.view.db {
		n, expiring := 0, 0
		var ttl time.Duration
		for _, k := range v.view.sortedKeys(i, now) {
			n++
			if x := v.view.db[i][k]; !x.expires.IsZero() {
				expiring++
				ttl += x.expires.Sub(now)
			}
		}
		if n > 0 {
			fmt.Fprintf(&b, "db%d:keys=%d,expires=%d,avg_ttl=%d\n", i, n, expiring, ttl.Milliseconds()/int64(max(expiring, 1)))
		}
	}
	return b.String()
}

// hostile are the commands that intruders come for. They are answered and recorded, no more.
func hostile() map[string]func(*visit, [][]byte) {
	return map[string]func(*visit, [][]byte){
		"slaveof": replicaOf, "replicaof": replicaOf, "module": module,
		"eval": script, "evalsha": func(v *visit, _ [][]byte) { v.out.fail("NOSCRIPT No matching script. Please use EVAL.") },
		"eval_ro": script, "script": scriptCommand, "function": func(v *visit, _ [][]byte) { v.out.list(0) },
		"fcall":   func(v *visit, _ [][]byte) { v.out.fail("ERR Function not found") },
		"debug":   func(v *visit, _ [][]byte) { v.out.fail(fmt.Sprintf(notAllowed, "DEBUG", "debug")) },
		"monitor": ok, "sync": func(v *visit, _ [][]byte) { v.quit = true }, "psync": func(v *visit, _ [][]byte) { v.quit = true }, "replconf": ok,
		"migrate": func(v *visit, a [][]byte) {
			v.outside("redis://"+string(a[1])+":"+string(a[2]), "migrate")
			v.out.fail("IOERR error or timeout connecting to the client")
		},
		"shutdown": func(v *visit, a [][]byte) {
			if len(a) > 1 && !slices.Contains([]string{"save", "nosave", "now", "force", "abort"}, lower(a[1])) {
				v.out.fail(syntax)
				return
			}
			v.quit = true
		},
		"restore": func(v *visit, _ [][]byte) { v.out.fail("ERR DUMP payload version or checksum are wrong") },
	}
}

const notAllowed = "ERR %s command not allowed. If the enable-%s-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."

func replicaOf(v *visit, a [][]byte) {
	if lower(a[1]) == "no" && lower(a[2]) == "one" {
		v.view.master = [2]string{}
		v.out.status("OK")
		return
	}
	port, ok := number(a[2])
	if !ok || port < 0 || port > 65535 {
		v.out.fail("ERR Invalid master port")
		return
	}
	to := [2]string{string(a[1][:min(len(a[1]), 255)]), strconv.FormatInt(port, 10)}
	if v.view.master == to {
		v.out.status("OK Already connected to specified master")
		return
	}
	v.view.master = to
	v.outside("redis://"+to[0]+":"+to[1], "replicaof")
	v.out.status("OK")
}

// outside records that a visitor wanted something from elsewhere. Nothing is dialled.
func (v *visit) outside(url, how string) {
	if v.rec == nil {
		return
	}
	v.rec.Emit(event.ActionDownloadRequested, event.DepthAct, func(e *event.Event) {
		e.URL = url[:min(len(url), 4096)]
		e.Add("process.name", "redis "+how)
	})
}

func module(v *visit, a [][]byte) {
	switch lower(a[1]) {
	case "list":
		v.out.list(0)
	case "load", "loadex":
		v.out.fail("ERR Error loading the extension. Please check the server logs.")
	case "unload":
		v.out.fail("ERR Error unloading module: no such module with that name")
	default:
		v.noSuch(a)
	}
}

// script answers what no script engine here runs: the few things that scanners
// return, else nil.
func script(v *visit, a [][]byte) {
	n, ok := integer(a[2])
	switch {
	case !ok:
		v.out.fail(notInteger)
	case n < 0:
		v.out.fail("ERR Number of keys can't be negative")
	case n > int64(len(a)-3):
		v.out.fail("ERR Number of keys can't be greater than number of args")
	default:
		if rest, is := strings.CutPrefix(strings.TrimSpace(string(a[1])), "return "); is {
			rest = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), ";"))
			if i, isNumber := integer([]byte(rest)); isNumber {
				v.out.int(i)
				return
			}
			if len(rest) > 1 && (rest[0] == '\'' || rest[0] == '"') && rest[len(rest)-1] == rest[0] {
				v.out.bulk(rest[1 : len(rest)-1])
				return
			}
			if rest == "_VERSION" {
				v.out.bulk("Lua 5.1")
				return
			}
		}
		v.out.null()
	}
}

func scriptCommand(v *visit, a [][]byte) {
	switch lower(a[1]) {
	case "flush", "kill":
		v.out.status("OK")
	case "exists":
		v.out.list(len(a) - 2)
		for range a[2:] {
			v.out.int(0)
		}
	case "load":
		v.out.fail("ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'")
	default:
		v.noSuch(a)
	}
}
