#!/usr/bin/env bash
# Configures a build folder, the same way whoever asks: the quick start and the tests share one.
set -euo pipefail

usage() {
  cat << 'END'
usage: jobs/configure.sh [--preset NAME] [--build-dir DIR] [--help]
  --preset NAME    a configure preset of CMakePresets.json (default: release)
  --build-dir DIR  where to build (default: build-NAME)
END
}

preset=release
build_dir=
while [ $# -gt 0 ]; do
  case "$1" in
    --preset | --build-dir)
      [ $# -ge 2 ] || { echo "configure.sh: $1 needs a value" >&2; exit 2; }
      if [ "$1" = --preset ]; then preset=$2; else build_dir=$(realpath -m "$2"); fi
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "configure.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
# Named, because a build folder of an earlier version may have them switched off.
options=(-DCARAVAN_BUILD_TESTS=ON)
if command -v ccache > /dev/null; then
  # Without its leave to look past the time stamps in a precompiled header, ccache keeps nothing that includes one.
  options+=("-DCMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache")
fi
exec cmake --preset "$preset" -B "${build_dir:-$PWD/build-$preset}" "${options[@]}"
