/*
   The test file that every antivirus program knows, by agreement (eicar.org).
   Known by its hash: the text itself stands in no file of ours.
*/

import "hash"

rule EICAR_Test_File
{
    meta:
        author = "lapwing"
        license = "Apache-2.0"
        description = "The EICAR antivirus test file: harmless, put there to see whether anybody notices"
        reference = "https://www.eicar.org/download-anti-malware-testfile/"
        level = "medium"
    condition:
        filesize >= 68 and filesize <= 128 and uint32be(0) == 0x58354f21 and
        hash.sha256(0, 68) == "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
}
