"""nginx in front of a server: it speaks TLS to whoever comes, and to the server what it heard."""
import os

from home import NGINX, NGINX_MODULES
from program import Program, free_port, listening

# One process: a worker would outlive its master, should the kernel end that.
CONFIG = """load_module {modules}/ngx_stream_module.so;
daemon off; master_process off; {user}
pid {folder}/{name}.pid; error_log {folder}/{name}-error.log info;
events {{ worker_connections 64; }}
stream {{ server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {shown.chain}; ssl_certificate_key {shown.key};
  proxy_pass 127.0.0.1:{server.port}; }} }}
"""


class Front(Program):
    """A front of `server` on a port of its own."""

    def __init__(self, name, folder, server, certificate, port=None):
        self.server, self.port = server, port or free_port()
        config = folder / f"{name}.conf"
        config.write_text(CONFIG.format(modules=NGINX_MODULES, folder=folder, name=name, port=self.port, shown=certificate, server=server,
                                        user="user root;" if os.getuid() == 0 else ""))
        super().__init__(name, [NGINX, "-c", config, "-p", folder, "-e", folder / f"{name}-error.log"], folder)
        self.awaits("listening port", lambda: listening(self.port), 20)

    @property
    def app(self):
        """The server's URL by way of here, without a stream's name."""
        return f"rtmps://127.0.0.1:{self.port}/live"

    def again(self, name, certificate):
        """Another one in its place, with another certificate."""
        self.kill()
        return Front(name, self.folder, self.server, certificate, self.port)
