"""A certificate store of the test's own, for programs that look into the system's and nowhere else."""
import os
import subprocess

from program import Failed


class Store:
    """A folder that a program sees as /etc/ssl/certs; the machine's stays as it is, for everybody else."""

    def __init__(self, folder, authority):
        self.folder = folder / "certificates"
        self.folder.mkdir()
        self.trust(authority)
        unshared = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
        # What comes before a program to run it here.
        self.inside = [*unshared, "sh", "-c", 'mount --bind "$0" /etc/ssl/certs && exec "$@"', self.folder]
        tried = subprocess.run([*self.inside, "true"], timeout=20, capture_output=True, text=True)
        if tried.returncode != 0:
            raise Failed(f"MISSING RIGHT: to mount a folder over /etc/ssl/certs for one program alone: {tried.stderr.strip()}")

    def trust(self, authority):
        """Has programs trust this one from their next connection on, and no other."""
        # GnuTLS reads this file, mbedTLS all there are.
        (self.folder / "ca-certificates.crt").write_text(authority.ca.read_text())
