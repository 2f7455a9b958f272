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
        $user = /(^|\n)[ \t]{0,8}(user|username|login|benutzer|konto)[ \t]{0,4}[:=][ \t]{0,4}[^\r\n\t ]{2,60}/ nocase
        $pass = /(^|\n)[ \t]{0,8}(pass|password|passwd|pwd|passwort|kennwort)[ \t]{0,4}[:=][ \t]{0,4}[^\r\n\t ]{4,60}/ nocase
    condition:
        filesize < 64KB and uint16(0) != 0x5a4d and #user >= 2 and #pass >= 2
}
