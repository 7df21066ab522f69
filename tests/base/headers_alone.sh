#!/bin/bash
# headers_alone.sh COMPILER C_COMPILER INCLUDE_DIR…: every public header compiles as the only include of a source, twice
# in a row; abi.h also as C.
set -euo pipefail
compiler=$1 c_compiler=$2
shift 2
flags=()
for directory in "$@"; do flags+=("-I$directory"); done
compile() {
  printf '#include "caravan/%s"\n#include "caravan/%s"\n' "$1" "$1" |
    "$compiler" -std=c++20 -Wall -Wextra -Wshadow -Werror -fsyntax-only "${flags[@]}" -x c++ - ||
    { echo "caravan/$1 does not compile alone" >&2; return 255; }
}
count=0
for directory in "$@"; do
  while IFS= read -r header; do
    compile "$header"
    count=$((count + 1))
  done < <(cd "$directory/caravan" && find . -type f -printf '%P\n' | sort)
done
echo '#include "caravan/abi.h"' | "$c_compiler" -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only "${flags[@]}" -x c -
[ $count -gt 20 ] || { echo "only $count headers found" >&2; exit 1; }
echo "$count headers compile alone"
