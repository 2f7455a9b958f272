# Turns `go version -m BINARY` into a CycloneDX 1.6 bill of materials.
function item(name, ver) {
	list = list sep sprintf("    {\"type\": \"library\", \"name\": \"%s\", \"version\": \"%s\", \"purl\": \"pkg:golang/%s@%s\"}", name, ver, name, ver)
	sep = ",\n"
}
$1 == "dep" { name = $2; ver = $3; if (held != "") item(heldname, held); heldname = name; held = ver; next }
$1 == "=>" { heldname = $2; held = $3 }
NR == 1 { go = $2 }
END {
	if (held != "") item(heldname, held)
	item("std", go)
	printf "{\n  \"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.6\", \"version\": 1,\n"
	printf "  \"metadata\": {\"component\": {\"type\": \"application\", \"name\": \"lapwing\", \"version\": \"%s\", \"description\": \"linux/%s\"}},\n", version, arch
	printf "  \"components\": [\n%s\n  ]\n}\n", list
}
