/*
   SoftEther VPN under another name. The program keeps its version information
   and asks for its companion files whatever it is called.
*/

rule SoftEther_Program
{
    meta:
        author = "lapwing"
        license = "Apache-2.0"
        description = "A SoftEther VPN program; intruders leave it behind as a way back in, often renamed"
        reference = "https://github.com/SoftEtherVPN/SoftEtherVPN_Stable"
        level = "medium"
        technique = "T1572"
    strings:
        $core = "hamcore.se2" ascii wide nocase
        $origin1 = "vpnbridge.exe" wide nocase
        $origin2 = "vpnbridge_x64.exe" wide nocase
        $origin3 = "vpnserver.exe" wide nocase
        $origin4 = "vpnserver_x64.exe" wide nocase
        $company = "SoftEther VPN Project" ascii wide
        $path = "/vpnsvc/connect.cgi" ascii
        $elf = "vpn_bridge.config" ascii
        $scanner = "rule SoftEther_Program" ascii // a program that carries this rule
    condition:
        (uint16(0) == 0x5a4d or uint32(0) == 0x464c457f) and 3 of ($core, $origin*, $company, $path, $elf) and not $scanner
}

rule SoftEther_Bridge_Settings
{
    meta:
        author = "lapwing"
        license = "Apache-2.0"
        description = "Settings of a SoftEther VPN bridge or server: the hubs and far ends it connects to stand in it"
        reference = "https://github.com/SoftEtherVPN/SoftEtherVPN_Stable"
        level = "high"
        technique = "T1572"
    strings:
        $head = "# Software Configuration File" ascii
        $root = "declare root" ascii
        $server = "declare ServerConfiguration" ascii
        $cascade = "declare CascadeList" ascii
        $hub = "declare VirtualHUB" ascii
    condition:
        filesize < 4MB and $root and ($head or $server) and ($cascade or $hub)
}
