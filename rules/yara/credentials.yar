/*
   What is left of the theft of credentials: dumps of the process that holds
   them, and lists of passwords where they should not lie.
*/

rule LSASS_Memory_Dump
{
    meta:
        author = "lapwing"
        license = "Apache-2.0"
        description = "A minidump of lsass.exe: the passwords and tickets of everybody who was logged in"
        level = "critical"
        technique = "T1003.001"
    strings:
        $module = "\\lsass.exe" wide nocase
        $lib1 = "lsasrv.dll" wide nocase
        $lib2 = "wdigest.dll" wide nocase
    condition:
        uint32(0) == 0x504d444d and $module and 1 of ($lib*)
}

rule Credential_Text_File
{
    meta:
        author = "lapwing"
        license = "Apache-2.0"
        description = "A small text that lists several user names with passwords"
        level = "low"
        technique = "T1552.001"
    strings:
        $pair = /(^|\n)[ \t]{0,4}(user|username|login|benutzer|konto)[ \t]{0,2}[:=][ \t]{0,2}[A-Za-z0-9._@\\-]{2,40}\r?\n[ \t]{0,4}(pass|password|passwd|pwd|passwort|kennwort)[ \t]{0,2}[:=][ \t]{0,2}[^ \t\r\n"'(){};,$]{4,60}\r?\n/ nocase
    condition:
        filesize < 64KB and #pair >= 2
}
