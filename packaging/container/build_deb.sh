#!/usr/bin/env bash
# Builds caravan.deb on a bare Debian 12 or Ubuntu 24.04, as root: what the Dockerfile and the Apptainer definition run.
set -euo pipefail

usage() {
  cat << 'END_OF_USAGE'
usage: packaging/container/build_deb.sh [--cuda ON|OFF] [--host-archs LEVELS] [--build-dir DIR] [--output DIR] [--help]
  --cuda ON|OFF        with the cuda device (default: OFF); needs CUDA, cuDNN and, for fast exchanges, NCCL in the image
  --host-archs LEVELS  processors that the host device is built for (default: x86-64-v3;x86-64-v4)
  --build-dir DIR      where to build (default: build-deb)
  --output DIR         where caravan.deb goes (default: the build folder)
END_OF_USAGE
}

cuda=OFF archs='x86-64-v3;x86-64-v4' build_dir=build-deb output=
while [ $# -gt 0 ]; do
  case "$1" in
    --cuda | --host-archs | --build-dir | --output)
      [ $# -ge 2 ] || { echo "build_deb.sh: $1 needs a value" >&2; exit 2; }
      case "$1" in
        --cuda) cuda=$2 ;;
        --host-archs) archs=$2 ;;
        --build-dir) build_dir=$2 ;;
        --output) output=$2 ;;
      esac
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "build_deb.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/../.."
build_dir=$(realpath -m "$build_dir")
output=$(realpath -m "${output:-$build_dir}")
bash jobs/install_dependencies.sh --only-build
cmake --preset release -B "$build_dir" -DCMAKE_INSTALL_PREFIX=/usr -DCARAVAN_BUILD_TESTS=OFF "-DCARAVAN_CUDA=$cuda" "-DCARAVAN_HOST_ARCHS=$archs"
cmake --build "$build_dir" -j "$(nproc)"
(cd "$build_dir" && rm -f caravan_*.deb && cpack -G DEB)
mkdir -p "$output"
cp "$build_dir"/caravan_*.deb "$output/caravan.deb"
