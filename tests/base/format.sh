#!/usr/bin/env bash
# Every C++ source below the folder ROOT is formatted as .clang-format says. Usage: format.sh ROOT
set -euo pipefail
cd "$1"
if ! command -v clang-format > /dev/null; then
  echo "clang-format is not installed (jobs/install_dependencies.sh does): skipped"
  exit 77
fi
version=$(clang-format --version | sed -nE 's/.*version ([0-9]+)\..*/\1/p')
if [ "$version" != 14 ]; then
  echo "clang-format $version formats otherwise than 14: skipped"
  exit 77
fi
mapfile -t sources < <(find . -path './build*' -prune -o -path ./.git -prune -o -path './install*' -prune -o \
  -type f \( -name '*.cpp' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh' \) -print)
echo "${#sources[@]} sources"
printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -n 100 clang-format --dry-run -Werror
