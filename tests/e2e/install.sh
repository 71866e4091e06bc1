# How tests/e2e/setup and tests/interop/setup install: Debian packages on the machine, and in $home what should not be on it.
export DEBIAN_FRONTEND=noninteractive PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1

home=${CARGO_TARGET_DIR:-$root/target}/programs
mkdir -p "$home"
home=$(cd "$home" && pwd)

# A registry may fail once.
twice() { "$@" || { echo "setup: again: $*"; sleep 5; "$@"; }; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo --preserve-env=DEBIAN_FRONTEND "$@"; fi; }
# What cannot be had is one program missing, and each test that needs it is red; the others are still of use.
can_fail() { twice "$@" || echo "setup: FAILED: $*"; }

fresh_lists() { twice as_root apt-get update -qq; }

# Installs those of the packages that are missing.
packages() {
  local package missing=()
  for package in "$@"; do
    [ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "setup: installing ${missing[*]}"
  fresh_lists
  twice as_root apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Unpacks packages into the folder $home/$1 unless the file $2 is there: installed, a server would be started as a service.
unpacked() {
  local folder=$home/$1 file=$2
  shift 2
  [ ! -e "$folder/$file" ] || return 0
  echo "setup: unpacking $*"
  mkdir -p "$folder"
  fresh_lists
  can_fail unpack "$folder" "$@"
}
unpack() (
  cd "$1" && shift && apt-get download -qq "$@" && for package in *.deb; do dpkg -x "$package" . || exit 1; done && rm -- *.deb
)

# Installs a wheel (NAME==VERSION) into $home/python unless the folder $1 is there; the ones we want bring whole programs.
wheel() {
  [ ! -d "$home/python/$1" ] || return 0
  echo "setup: installing $2 from PyPI"
  can_fail python3 -m pip install --quiet --upgrade --target "$home/python" "$2"
}
