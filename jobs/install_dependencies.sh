#!/usr/bin/env bash
# Installs the Debian packages that caravan is built from and that are missing; says which and why. Needs root only then.
set -euo pipefail

usage() {
  cat << 'END'
usage: jobs/install_dependencies.sh [--list] [--help]
  Installs what is missing with apt-get (as root, or through sudo). Does nothing when nothing is missing.
  --list  print every package and why it is needed, and stop
END
}

# package: why
packages() {
  cat << 'END'
g++: the compiler (C++20)
cmake: configures the build
ninja-build: runs the build
ccache: makes a second build fast
pkg-config: finds libraries for CMake
git: commit in logs and measurements
openmpi-bin: mpirun
libopenmpi-dev: MPI, communication between ranks
libhdf5-openmpi-dev: HDF5, checkpoints and token shards
hdf5-tools: h5ls and h5dump, which read caravan's checkpoints
libeigen3-dev: Eigen, vectorised arithmetic of the host device
libtrilinos-kokkos-dev: Kokkos, loops of the host device
libyaml-cpp-dev: YAML job files
libfmt-dev: text formatting
libspdlog-dev: logging
nlohmann-json3-dev: JSON
libsimdjson-dev: fast JSON lines
libcli11-dev: the command line
libsentencepiece-dev: SentencePiece tokenizers
libpcre2-dev: regular expressions of tokenizers
libssl-dev: SHA-256 of plugins and files
libxxhash-dev: checksums of checkpoints
libseccomp-dev: restricts the process that reads HDF5 files of others
zlib1g-dev: texts that are compressed with gzip
libzstd-dev: texts that are compressed with zstd
clang-19: fuzzing of the readers of outside files, libFuzzer
libclang-rt-19-dev: its sanitizers
libgtest-dev: GoogleTest, the tests
libgmock-dev: GoogleMock, the tests
bible-kjv: the text that the quick start learns
bible-kjv-text: the words of it
python3-h5py: proves that Python reads the checkpoints
shellcheck: checks the scripts
clang-format: checks the layout of the sources
slurmctld: a Slurm that the tests start and stop: its controller
slurmd: its nodes
slurm-client: sbatch and srun
slurm-wlm-basic-plugins: what all of Slurm loads
END
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

case "${1:-}" in
  "") ;;
  --list) packages; exit 0 ;;
  --help | -h) usage; exit 0 ;;
  *) echo "install_dependencies.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
esac

# shellcheck disable=SC1091 # a file of the system
distribution=$(. /etc/os-release 2> /dev/null && echo "${ID:-unknown}" || echo unknown)
if [ "$distribution" != debian ]; then
  echo "This is '$distribution'; caravan knows the package names of Debian only. Nothing is installed:" >&2
  echo "CMake says what is missing, and builds without what is optional." >&2
  exit 0
fi

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -eq 0 ]; then
  echo "All packages that caravan needs are installed."
  exit 0
fi

echo "Missing packages:"
for package in "${missing[@]}"; do
  packages | awk -F ': ' -v wanted="$package" '$1 == wanted { printf "  %-24s %s\n", $1, $2 }'
done
if [ "$(id -u)" -ne 0 ] && ! command -v sudo > /dev/null; then
  echo "Installing needs root. Run as root:" >&2
  echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
run_as_root apt-get update -q
run_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
echo "Installed: ${missing[*]}"
