#!/usr/bin/env bash
# Installs the packages that caravan is built and tested with and that are missing; says which and why. Needs root only then. What
# there is to install stands in cmake/CaravanRequirements.cmake.
set -euo pipefail

usage() {
  cat << 'END_OF_USAGE'
usage: jobs/install_dependencies.sh [--only-build] [--list] [--dry-run] [--os-release FILE] [--help]
  Installs what is missing with apt-get (as root, or through sudo). Does nothing when nothing is missing.
  --only-build       what building and running needs, without tests and their tools
  --list             print every package and why it is needed, and stop
  --dry-run          say what would be installed, and stop
  --os-release FILE  what names the distribution (default: /etc/os-release)
  Knows Debian 12 and Ubuntu 24.04. Elsewhere it installs nothing, lists what is needed with the names that dnf, zypper and Spack have for
  it, and exits with 3.
END_OF_USAGE
}

table=$(dirname "$0")/../cmake/CaravanRequirements.cmake
# rows: thing|role|what it is for|what is lost without it|apt|dnf|zypper|Spack
rows() { sed -nE 's/^  "([^"|]+\|(needed|optional|build|test)\|[^"]*)"\)?$/\1/p' "$table"; }

roles='needed|optional|build|test'
# package: why. What NVIDIA publishes comes from its own archive, and where there is a GPU it is there already.
packages() {
  rows | awk -F '|' -v roles="^($roles)\$" '
    $1 ~ /^(CUDA|cuDNN|NCCL)$/ || $2 !~ roles || ($1 == "GoogleTest" && roles !~ /test/) { next }
    { count = split($5, names, " "); for (i = 1; i <= count; ++i) if (!seen[names[i]]++) print names[i] ": " $3 }'
}

missing_packages() {
  local package
  while IFS= read -r package; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true)" != installed ]; then
      echo "$package"
    fi
  done < <(packages | cut -d: -f1)
}

run_as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# refuse DISTRIBUTION: what is needed, for whoever installs it.
refuse() {
  {
    echo "This is '$1'; the names of packages are known for Debian 12 and Ubuntu 24.04. Nothing is installed."
    echo "caravan is built from (on Rocky some are in EPEL and CRB, on SLES in Package Hub; modules of your site do as well):"
    rows | awk -F '|' '$2 == "needed" || $2 == "optional" || $2 == "build" {
      printf "  %-14s %-9s %s\n", $1, $2, $3
      printf "  %14s apt %s | dnf %s | zypper %s | Spack %s\n", "", $5, $6, $7, $8 }'
    echo "CMake says what of it is missing: cmake --preset release. With Spack: packaging/spack; in a container: packaging/container."
  } >&2
  exit 3
}

dry_run=no list=no os_release=/etc/os-release
while [ $# -gt 0 ]; do
  case "$1" in
    --list) list=yes; shift ;;
    --only-build) roles='needed|optional|build'; shift ;;
    --dry-run) dry_run=yes; shift ;;
    --os-release)
      [ $# -ge 2 ] || { echo "install_dependencies.sh: $1 needs a value" >&2; exit 2; }
      os_release=$2
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "install_dependencies.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done

if [ "$list" = yes ]; then
  packages
  exit 0
fi

# shellcheck disable=SC1090 # a file of the system
distribution=$(. "$os_release" 2> /dev/null && echo "${ID:-unknown} ${VERSION_ID:-}" || echo unknown)
case "$distribution" in
  "debian 12" | "ubuntu 24.04") ;;
  *) refuse "$distribution" ;;
esac

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -eq 0 ]; then
  echo "All packages that caravan needs are installed."
  exit 0
fi

echo "Missing packages:"
for package in "${missing[@]}"; do
  packages | awk -F ': ' -v wanted="$package" '$1 == wanted { printf "  %-24s %s\n", $1, $2 }'
done
if [ "$dry_run" = yes ]; then
  echo "Would run: apt-get install --no-install-recommends ${missing[*]}"
  exit 0
fi
if [ "$(id -u)" -ne 0 ] && ! command -v sudo > /dev/null; then
  echo "Installing needs root. Run as root:" >&2
  echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
run_as_root apt-get update -q
run_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
echo "Installed: ${missing[*]}"
