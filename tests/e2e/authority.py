"""A certificate authority of the test's own, and the certificates that it vouches for."""
import subprocess
import typing


class Certificate(typing.NamedTuple):
    """What a server shows, and the key to it."""

    chain: typing.Any
    key: typing.Any


class Authority:
    """Files in a folder: ca.pem is what clients trust. `certificate` is for this machine."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.folder, self.ca, self.ca_key = folder, folder / "ca.pem", folder / "ca.key"
        self.run(*self.new_key(self.ca_key), "-x509", "-days", "2", "-subj", f"/CN=the authority in {folder.name}", "-out", self.ca)
        # mbedTLS 2 looks for names only.
        self.certificate = self.certify("server", "DNS:localhost,IP:127.0.0.1")

    def certify(self, name, hosts):
        """A certificate for these hosts, in files of this name."""
        shown = Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.extensions"
        extensions.write_text(f"subjectAltName={hosts}\nextendedKeyUsage=serverAuth\n")
        self.run(*self.new_key(shown.key), "-subj", "/CN=the test's server", "-out", request)
        self.run("openssl", "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial",
                 "-days", "2", "-extfile", extensions, "-out", shown.chain)
        return shown

    @staticmethod
    def new_key(path):
        return ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]

    @staticmethod
    def run(*command):
        subprocess.run(list(map(str, command)), check=True, timeout=20, capture_output=True)

    @property
    def trusted(self):
        """What has ffmpeg and its kin verify a server, by this authority."""
        return ["-tls_verify", "1", "-ca_file", self.ca]
