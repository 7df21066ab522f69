#!/usr/bin/env bash
# Every shell script below the folder ROOT is clean. Usage: shellcheck.sh ROOT
set -euo pipefail
cd "$1"
if ! command -v shellcheck > /dev/null; then
  echo "shellcheck is not installed (jobs/install_dependencies.sh does): skipped"
  exit 77
fi
mapfile -t scripts < <(find . -path './build*' -prune -o -path ./.git -prune -o -type f \( -name '*.sh' -o -name '*.sbatch' \) -print)
echo "${#scripts[@]} scripts"
shellcheck --external-sources "${scripts[@]}"
for script in "${scripts[@]}"; do bash -n "$script"; done
