#!/bin/bash
# headers_alone.sh COMPILER C_COMPILER INCLUDE_DIR…: every public header compiles as the only include of a source, twice
# in a row; abi.h also as C. As many at once as there are cores.
set -euo pipefail
export compiler=$1
c_compiler=$2
shift 2
export flags=""
for directory in "$@"; do flags+=" -I$directory"; done
compile() {
  # shellcheck disable=SC2086  # several options
  printf '#include "caravan/%s"\n#include "caravan/%s"\n' "$1" "$1" |
    "$compiler" -std=c++20 -Wall -Wextra -Wshadow -Werror -fsyntax-only $flags -x c++ - ||
    { echo "caravan/$1 does not compile alone" >&2; return 255; }
}
export -f compile
headers=()
for directory in "$@"; do
  while IFS= read -r header; do headers+=("$header"); done < <(cd "$directory/caravan" && find . -type f -printf '%P\n' | sort)
done
# shellcheck disable=SC2016  # for the shells that xargs starts
printf '%s\n' "${headers[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'compile "$1"' _ '{}'
# shellcheck disable=SC2086  # several options
echo '#include "caravan/abi.h"' | "$c_compiler" -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only $flags -x c -
[ ${#headers[@]} -gt 20 ] || { echo "only ${#headers[@]} headers found" >&2; exit 1; }
echo "${#headers[@]} headers compile alone"
