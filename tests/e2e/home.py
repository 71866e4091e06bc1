"""Where tests/e2e/setup puts what should not be on the machine itself."""
from server import TARGET

HOME = TARGET / "programs"
FFMPEG_9 = HOME / "python/imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v9.0.2"
NGINX = HOME / "nginx/usr/sbin/nginx"
NGINX_MODULES = HOME / "nginx/usr/lib/nginx/modules"
