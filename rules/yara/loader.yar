/*
   Scripts by which device botnets load themselves: the same program fetched for
   one processor after another, made runnable, run, removed.
*/

rule Botnet_Loader_Script
{
    meta:
        author = "lapwing"
        license = "Apache-2.0"
        description = "A shell script that fetches a program for several processors, runs and removes it"
        level = "high"
        technique = "T1105"
    strings:
        $get = /\b(wget|curl|tftp|ftpget)\b[^\n]{0,160}(https?:\/\/|-g|-r)/
        $run = /chmod[ \t]{1,4}(-R[ \t]{1,4})?(\+x|[0-7]?777|755)/
        $tidy = /\brm[ \t]{1,4}-r?f/
        $arch1 = /[.\/_-](mips|mipsel|mpsl)\b/
        $arch2 = /[.\/_-](arm|arm[4-7]l?|armv[4-7]l)\b/
        $arch3 = /[.\/_-](sh4|ppc|powerpc|m68k|spc|sparc)\b/
        $arch4 = /[.\/_-](x86|x86_64|i[3-6]86)\b/
    condition:
        filesize < 64KB and uint32(0) != 0x464c457f and #get >= 2 and $run and $tidy and 3 of ($arch*)
}
