# Sourced by the other scripts: says no where Millpond can't run, and installs Debian packages.

say() { echo "millpond: $*" >&2; }
die() { say "$*"; exit 1; }

[ "$(uname -s)" = Linux ] || die "this needs Linux; here is $(uname -s). Use a Linux machine, a VM or WSL 2."

# install PACKAGE...: by apt, as root or through a sudo that asks nothing; else says what to install.
install() {
  local as_root=()
  command -v apt-get >/dev/null || die "please install: $* (under your distribution's names), then run make again."
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || die "please run: sudo apt-get install -y $*; then make again."
    as_root=(sudo -n)
  fi
  say "installing $*"
  # `env` carries the setting through sudo, which clears the environment.
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update >&2 || say "apt-get update failed; trying with the package lists at hand"
  "${apt[@]}" install -y --no-install-recommends "$@" </dev/null >&2 ||
    die "apt-get could not install: $*. Install them by hand, then run make again."
}
