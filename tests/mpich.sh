#!/usr/bin/env bash
# The tests of MPI, of launching and of installing with Debian's MPICH, which stands beside Open MPI there, and the quick start on it. A serial
# HDF5 goes with both.
set -euo pipefail

usage() {
  cat << 'END_OF_USAGE'
usage: tests/mpich.sh [--build-dir DIR] [--help]
  --build-dir DIR  where to build (default: build-mpich)
  Needs mpich and libmpich-dev; without them it says so and does nothing. MPICH's ranks wait by spinning, so more ranks than cores
  are tried in tests of messages alone.
END_OF_USAGE
}

build_dir=build-mpich
while [ $# -gt 0 ]; do
  case "$1" in
    --build-dir)
      [ $# -ge 2 ] || { echo "mpich.sh: $1 needs a value" >&2; exit 2; }
      build_dir=$2
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "mpich.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
build_dir=$(realpath -m "$build_dir")
for tool in mpicc mpicxx mpiexec; do
  if ! command -v $tool.mpich > /dev/null; then
    echo "NOT RUN: there is no $tool.mpich here. apt-get install mpich libmpich-dev?"
    exit 0
  fi
done

mpich=("-DMPI_C_COMPILER=$(command -v mpicc.mpich)" "-DMPI_CXX_COMPILER=$(command -v mpicxx.mpich)"
  "-DMPIEXEC_EXECUTABLE=$(command -v mpiexec.mpich)" -DCARAVAN_CUDA=OFF)
if command -v h5pcc.openmpi > /dev/null; then
  mixed=$(mktemp -d)
  trap 'rm -rf "$mixed"' EXIT
  if cmake --preset release -B "$mixed" "${mpich[@]}" -DHDF5_PREFER_PARALLEL=ON \
    "-DHDF5_C_COMPILER_EXECUTABLE=$(command -v h5pcc.openmpi)" > "$mixed/log" 2>&1; then
    echo "FAILED: MPICH with an HDF5 of Open MPI is not refused" >&2
    exit 1
  fi
  grep -q "is for another MPI" "$mixed/log" || { cat "$mixed/log" >&2; exit 1; }
fi
cmake --preset release -B "$build_dir" "${mpich[@]}"
bash jobs/quickstart.sh --short --build-dir "$build_dir" --output "$build_dir/quickstart"
"$build_dir/bin/caravan" --version | grep "built for MPICH"
cmake --build "$build_dir" -j "$(nproc)"
tests=(ctest --test-dir "$build_dir" --no-tests=error --output-on-failure)
"${tests[@]}" -L '^mpi$' -LE '^(np3|np4|np8)$'
"${tests[@]}" -R '^parallel_.*np[34]$'
"${tests[@]}" -R '^(parallel_session|jobs_(stop|failure|identity|layout|plugins_check)|plugin_(install|registry)|packaging_installation)$'
