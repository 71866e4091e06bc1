"""A certificate authority of the test's own, and a certificate for 127.0.0.1 that it vouches for."""
import subprocess


class Authority:
    """Files in a folder: ca.pem is what clients trust, server.pem and server.key are what servers show."""

    def __init__(self, folder):
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        ca_key, request, names = folder / "ca.key", folder / "server.csr", folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self.run(*new, "-x509", "-days", "2", "-subj", "/CN=the test's authority", "-keyout", ca_key, "-out", self.ca)
        self.run(*new, "-subj", "/CN=the test's server", "-keyout", self.key, "-out", request)
        self.run("openssl", "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
                 "-days", "2", "-extfile", names, "-out", self.certificate)

    @staticmethod
    def run(*command):
        subprocess.run(list(map(str, command)), check=True, timeout=20, capture_output=True)

    @property
    def trusted(self):
        """What has ffmpeg and its kin verify a server, by this authority."""
        return ["-tls_verify", "1", "-ca_file", self.ca]
