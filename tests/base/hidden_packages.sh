#!/usr/bin/env bash
# Hides each thing that caravan can be built without in turn, configures, and holds the summary to the truth: it names what was
# hidden, what the build lacks therefore, and nothing else. What is needed is hidden all at once, and must be told at once.
set -euo pipefail

usage() {
  cat << 'END_OF_USAGE'
usage: tests/base/hidden_packages.sh [--work DIR] [--only THING] [--build] [--help]
  --work DIR    where the folders build-without-THING go (default: a temporary folder); a compiler cache finds most of a build in the
                root of the repository, since paths within it are as those of other builds there
  --only THING  that one alone
  --build       builds each and runs the tests of units that are left: about three minutes each on two cores, with a compiler cache
END_OF_USAGE
}

source_dir=$(realpath "$(dirname "$0")/../..")
work='' only='' build=no
while [ $# -gt 0 ]; do
  case "$1" in
    --work | --only)
      [ $# -ge 2 ] || { echo "hidden_packages.sh: $1 needs a value" >&2; exit 2; }
      if [ "$1" = --work ]; then work=$(realpath -m "$2"); else only=$2; fi
      shift 2
      ;;
    --build) build=yes; shift ;;
    --help | -h) usage; exit 0 ;;
    *) echo "hidden_packages.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
if [ -z "$work" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"

fail() { echo "FAILED: $*" >&2; exit 1; }

# without_module NAME: a folder of all of pkg-config's files but that module's.
without_module() {
  local folder=$work/build-without-modules/$1
  rm -rf "$folder"
  mkdir -p "$folder"
  pkg-config --variable pc_path pkg-config | tr ':' '\n' | while read -r path; do
    find "$path" -maxdepth 1 -name '*.pc' ! -name "$1.pc" -exec ln -sf -t "$folder" {} + 2> "$folder/find.log" || true
  done
  echo "PKG_CONFIG_LIBDIR=$folder"
}

# things: thing | what hides it | the line of the summary that must say no | what else is not found then
things() {
  cat << 'END_OF_THINGS'
Kokkos|-DCMAKE_DISABLE_FIND_PACKAGE_Kokkos=ON|host device (Kokkos, Eigen)|
Eigen|-DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON|host device (Kokkos, Eigen)|
OpenMP|-DCMAKE_DISABLE_FIND_PACKAGE_OpenMP=ON|host device (Kokkos, Eigen)|
simdjson|-DCMAKE_DISABLE_FIND_PACKAGE_simdjson=ON|tokenizers, texts in JSON (PCRE2, simdjson)|
PCRE2|module libpcre2-8|tokenizers, texts in JSON (PCRE2, simdjson)|
SentencePiece|module sentencepiece|SentencePiece|
libseccomp|module libseccomp|sandbox for foreign files (libseccomp)|
libzstd|module libzstd|texts in zstd (libzstd)|
xxhash|-DXXHASH_INCLUDE_DIR=|digests by xxhash|
pkg-config|-DPKG_CONFIG_EXECUTABLE=/nowhere|SentencePiece|PCRE2 SentencePiece libseccomp libzstd
GoogleTest|-DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON|tests|
END_OF_THINGS
}

# folder THING: where it is configured and built without the thing, with what was said.
folder() { echo "$work/build-without-$1"; }

# configure THING OPTION…: into its folder, with its words in configure.log. An OPTION without -D is of the environment.
configure() {
  local into options=(-DCARAVAN_CUDA=OFF) environment=()
  into=$(folder "$1")
  shift
  for option in "$@"; do
    case "$option" in -D*) options+=("$option") ;; *) environment+=("$option") ;; esac
  done
  rm -rf "$into"
  mkdir "$into"
  env "${environment[@]}" cmake --preset release -S "$source_dir" -B "$into" "${options[@]}" > "$into/configure.log" 2>&1
}

# not_found LOG: the things that the summary lists as not found, sorted, in one line.
not_found() {
  sed -n '/not found, or left out/,$p' "$1" | sed -nE 's/^--    ([^ :][^:]*): .*/\1/p' | sort | tr '\n' ' '
}

check_summary() { # check_summary THING LINE OTHERS
  local log expected
  log=$(folder "$1")/configure.log
  # shellcheck disable=SC2086 # one word a thing
  expected=$(printf '%s\n' "$1" $3 | sort | tr '\n' ' ')
  grep -qF -- "--   $2: no" "$log" || fail "without $1 the summary does not say '$2: no': $(cat "$log")"
  [ "$(not_found "$log")" = "$expected" ] || fail "without $1 the summary lists '$(not_found "$log")', not '$expected'"
  grep -A 1 -F -- "--    $1: lost without it: " "$log" | grep -qE 'apt .+ \| dnf .+ \| zypper .+ \| Spack ' ||
    fail "without $1 the summary does not say what its packages are called"
}

build_and_test() { # build_and_test THING
  local into targets=(caravan caravan_plugins)
  into=$(folder "$1")
  [ "$1" = GoogleTest ] || targets+=(unit_tests)
  cmake --build "$into" --target "${targets[@]}" > "$into/build.log" 2>&1 || { tail -n 40 "$into/build.log"; fail "build without $1"; }
  "$into/bin/caravan" plugins list > "$into/run.log" || fail "the build without $1 does not run"
  [ "$1" != GoogleTest ] || return 0
  ctest --test-dir "$into" -L unit --no-tests=error --output-on-failure > "$into/test.log" 2>&1 ||
    { tail -n 40 "$into/test.log"; fail "tests of the build without $1"; }
  grep 'tests passed' "$into/test.log"
}

check_optional() {
  local thing hider line others options
  while IFS='|' read -r thing hider line others <&3; do
    [ -z "$only" ] || [ "$only" = "$thing" ] || continue
    options=("$hider")
    case "$hider" in module\ *) options=("$(without_module "${hider#module }")") ;; esac
    # Tests take half of the time to configure; only their own absence needs them asked for.
    if [ "$build" = no ] && [ "$thing" != GoogleTest ]; then options+=(-DCARAVAN_BUILD_TESTS=OFF); fi
    configure "$thing" "${options[@]}" || { cat "$(folder "$thing")/configure.log"; fail "configuring without $thing"; }
    check_summary "$thing" "$line" "$others"
    [ "$build" = no ] || build_and_test "$thing"
    echo "without $thing: the summary is true"
  done 3< <(things)
}

check_needed() {
  local options=(-DCARAVAN_HAVE_CXX20=OFF) package count
  for package in MPI HDF5 yaml-cpp fmt nlohmann_json CLI11 OpenSSL ZLIB; do
    options+=("-DCMAKE_DISABLE_FIND_PACKAGE_$package=ON")
  done
  if configure needed "${options[@]}"; then fail "configuring without what is needed went well"; fi
  grep -q "caravan needs what was not found, 9 in all" "$(folder needed)/configure.log" || { cat "$(folder needed)/configure.log"; fail "nine missing things are not told at once"; }
  count=$(grep -cE ' apt .+ \| dnf .+ \| zypper .+ \| Spack ' "$(folder needed)/configure.log")
  [ "$count" = 9 ] || fail "$count of 9 missing things have their packages' names"
  echo "without what is needed: all of it is told at once"
}

check_left_out() {
  configure left-out "-DCARAVAN_WITHOUT=libzstd;Kokkos" -DCARAVAN_BUILD_TESTS=OFF || { cat "$(folder left-out)/configure.log"; fail "CARAVAN_WITHOUT"; }
  [ "$(not_found "$(folder left-out)/configure.log")" = "Kokkos libzstd " ] || fail "CARAVAN_WITHOUT left out '$(not_found "$(folder left-out)/configure.log")'"
  if configure refused "-DCARAVAN_WITHOUT=fmt"; then fail "CARAVAN_WITHOUT=fmt went well"; fi
  grep -q "only what is optional" "$(folder refused)/configure.log" || fail "CARAVAN_WITHOUT=fmt is not refused by name"
  echo "what CARAVAN_WITHOUT names is left out"
}

check_optional
if [ -z "$only" ]; then
  check_needed
  check_left_out
fi
