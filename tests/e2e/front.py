"""nginx in front of a server: it speaks TLS to whoever comes, and to the server what it heard."""
import os
import signal

from home import NGINX, NGINX_MODULES
from program import Program, free_port, listening

CONFIG = """load_module {modules}/ngx_stream_module.so;
daemon off; worker_processes 1; {user}
pid {folder}/{name}.pid; error_log {folder}/{name}-error.log info;
events {{ worker_connections 64; }}
stream {{ server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {shown.chain}; ssl_certificate_key {shown.key};
  proxy_pass 127.0.0.1:{server.port}; }} }}
"""


class Front(Program):
    """A front of `server` on a port of its own."""

    def __init__(self, name, folder, server, certificate):
        self.server, self.port, self.config = server, free_port(), folder / f"{name}.conf"
        self.name, self.folder = name, folder
        self.configure(certificate)
        super().__init__(name, [NGINX, "-c", self.config, "-p", folder, "-e", folder / f"{name}-error.log"], folder)
        self.awaits("listening port", lambda: listening(self.port), 20)

    @property
    def app(self):
        """The server's URL by way of here, without a stream's name."""
        return f"rtmps://127.0.0.1:{self.port}/live"

    def configure(self, certificate):
        self.config.write_text(CONFIG.format(modules=NGINX_MODULES, folder=self.folder, name=self.name, port=self.port, shown=certificate,
                                             server=self.server, user="user root;" if os.getuid() == 0 else ""))

    def show(self, certificate):
        """Shows another certificate to whoever comes a moment later."""
        self.configure(certificate)
        self.process.send_signal(signal.SIGHUP)
