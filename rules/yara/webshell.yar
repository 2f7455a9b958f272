/*
   Web shells by shape: a line that runs what the request brings. The rules know
   no particular shell.
*/

rule Webshell_Request_Run_PHP
{
    meta:
        author = "lapwing"
        license = "Apache-2.0"
        description = "PHP that runs a part of the request"
        level = "high"
        technique = "T1505.003"
    strings:
        $run = /\b(eval|assert|system|passthru|shell_exec|proc_open|popen)\s{0,4}\(\s{0,4}(@\s{0,2}|base64_decode\s{0,2}\(\s{0,2}|stripslashes\s{0,2}\(\s{0,2}|urldecode\s{0,2}\(\s{0,2}){0,3}\$_(POST|GET|REQUEST|COOKIE|SERVER)\s{0,2}\[/ nocase
        $php = "<?" ascii
    condition:
        filesize < 1MB and $php and $run
}

rule Webshell_Request_Run_ASP
{
    meta:
        author = "lapwing"
        license = "Apache-2.0"
        description = "ASP or ASP.NET that runs a part of the request"
        level = "high"
        technique = "T1505.003"
    strings:
        $run1 = /\b(eval|execute|executeglobal)\s{0,4}\(?\s{0,4}request\s{0,4}(\.\s{0,2}(item|form|querystring)\s{0,2})?[\[(]/ nocase
        $tag = "<%" ascii
        $script = "<script" ascii nocase
    condition:
        filesize < 1MB and $run1 and ($tag or $script)
}

rule Webshell_Request_Run_JSP
{
    meta:
        author = "lapwing"
        license = "Apache-2.0"
        description = "A JSP page that starts a program named by the request, or defines a class from it"
        level = "high"
        technique = "T1505.003"
    strings:
        $tag = "<%" ascii
        $exec = /getRuntime\s{0,2}\(\s{0,2}\)\s{0,2}\.\s{0,2}exec\s{0,2}\(\s{0,2}request\s{0,2}\.\s{0,2}getParameter/
        $define1 = "defineClass" ascii
        $define2 = /request\s{0,2}\.\s{0,2}get(Parameter|Reader|InputStream)/
        $define3 = "ClassLoader" ascii
    condition:
        filesize < 1MB and $tag and ($exec or all of ($define*))
}
