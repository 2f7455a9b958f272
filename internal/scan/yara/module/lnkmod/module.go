package lnkmod

import (
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

type sign struct {
	name  string
	value int64
}

// constants are the names that rules compare fields with. Those of shell items
// are in a group of their own, as are show commands and drive types.
func constants() (plain, items, shows, drives []sign) {
	for i, n := range strings.Fields(`FILE_ATTRIBUTE_READONLY FILE_ATTRIBUTE_HIDDEN FILE_ATTRIBUTE_SYSTEM RESERVED_1 FILE_ATTRIBUTE_DIRECTORY FILE_ATTRIBUTE_ARCHIVE
		RESERVED_2 FILE_ATTRIBUTE_NORMAL FILE_ATTRIBUTE_TEMPORARY FILE_ATTRIBUTE_SPARSE_FILE FILE_ATTRIBUTE_REPARSE_POINT FILE_ATTRIBUTE_COMPRESSED
		FILE_ATTRIBUTE_OFFLINE FILE_ATTRIBUTE_NOT_CONTENT_INDEXED FILE_ATTRIBUTE_ENCRYPTED`) {
		plain = append(plain, sign{n, 1 << i})
	}
	items = []sign{
		{"CONTROL_PANEL_CPL", itemCPL},
		{"CONTROL_PANEL_CATEGORY", 0x01},
		{"ROOT_FOLDER", itemRoot},
		{"VOLUME", itemVolume},
		{"FILE_ENTRY", itemFile},
		{"NETWORK_LOCATION", itemNetwork},
		{"COMPRESSED_FOLDER", 0x52},
		{"URI", 0x61},
		{"CONTROL_PANEL", 0x71},
		{"PRINTERS", 0x72},
		{"COMMON_PLACES_FOLDER", 0x73},
		{"USERS_FILES_FOLDER", 0x74},
	}
	shows = []sign{{"NORMAL", 1}, {"MAXIMIZED", 3}, {"MIN_NO_ACTIVE", 7}}
	for i, n := range strings.Fields("UNKNOWN NO_ROOT_DIR REMOVABLE FIXED REMOTE CDROM RAMDISK") {
		drives = append(drives, sign{n, int64(i)})
	}
	return plain, items, shows, drives
}

func typeOf() *module.Type {
	m := map[string]*module.Type{}
	module.Fill(m, module.Bool, "is_lnk")
	module.Fill(m, module.Int, "creation_time", "access_time", "write_time", "file_size", "file_attributes", "icon_index", "show_command", "drive_type",
		"drive_serial_number", "overlay_size", "overlay_offset")
	module.Fill(m, module.String, "name", "icon_location", "volume_label", "local_base_path", "common_path_suffix", "relative_path", "working_dir", "cmd_line_args")
	tracker := map[string]*module.Type{}
	module.Fill(tracker, module.Int, "version")
	module.Fill(tracker, module.String, "machine_id", "droid_volume_id", "droid_file_id", "droid_birth_volume_id", "droid_birth_file_id")
	m["tracker_data"] = module.StructOf(tracker)
	it := map[string]*module.Type{}
	module.Fill(it, module.Int, "item_type")
	module.Fill(it, module.String, "data", "cpl_file_path", "root_folder_id", "volume_name", "volume_id", "file_entry_name", "network_location")
	m["target_id_list"] = module.ArrayOf(module.StructOf(it))
	plain, items, shows, drives := constants()
	for _, c := range plain {
		m[c.name] = module.T(module.Int)
	}
	for n, list := range map[string][]sign{"ShellItemType": items, "ShowCommand": shows, "DriveType": drives} {
		group := map[string]*module.Type{}
		for _, c := range list {
			group[c.name] = module.T(module.Int)
		}
		m[n] = module.StructOf(group)
	}
	return module.StructOf(m)
}

func values(list []sign) module.Value {
	m := module.Fields{}
	for _, c := range list {
		m[c.name] = module.Of(c.value)
	}
	return module.Record(m)
}

// Module is the lnk module.
func Module() *module.Module {
	plain, items, shows, drives := constants()
	return &module.Module{Name: "lnk", Type: typeOf(), Load: func(v *view.View) (module.Value, any) {
		m := module.Fields{"ShellItemType": values(items), "ShowCommand": values(shows), "DriveType": values(drives)}
		for _, c := range plain {
			m[c.name] = module.Of(c.value)
		}
		m["is_lnk"] = module.Truth(parse(v, m))
		return module.Record(m), nil
	}}
}
