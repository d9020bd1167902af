"""What clients are told of the first lines of features."""

import shutil
import subprocess

import pytest

from ltspd.config.features import for_clients

ONE = """# needs: LTSP_API 1
# wants: FSTAB_*~nfs /usr/sbin/mount.nfs nfs-common|nfs-utils|nfs-utils mount.nfs
# wants: login!NFS_HOME /usr/bin/ssh|/bin/ssh - what's called ssh
# parameter: FSTAB_* text "" A line
write x y
"""
TWO = '# needs: LTSP_API 2\n# live\n# parameter: HOSTS_* text "" A line\n# parameter: SERVER line "" A host\n'


@pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox, the shell of clients")
def test_clients_need_not_read_the_first_lines_of_features() -> None:
    script = for_clients({"50-one": ONE, "20-two": TWO})
    script += 'echo "$newer|$live_features|$live_settings|"; wanted 50-one; printf "%s" "$wants"\n'
    script += 'wanted 20-two; echo "<$wants>"; wanted else; echo "<$wants>"\n'
    words = ["busybox", "sh", "-euc", script]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines() == [
        " 20-two:2 |20-two|HOSTS_* SERVER|",
        "FSTAB_*~nfs /usr/sbin/mount.nfs nfs-common|nfs-utils|nfs-utils mount.nfs",
        "login!NFS_HOME /usr/bin/ssh|/bin/ssh - what's called ssh",
        "<>",
        "<>",
    ]
