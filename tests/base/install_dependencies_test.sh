#!/usr/bin/env bash
# install_dependencies_test.sh SOURCE WORK: jobs/install_dependencies.sh on machines that it is told of, where nothing is installed and
# nothing may be.
set -euo pipefail
source=$1 work=$2

fail() { echo "FAILED: $*" >&2; exit 1; }

rm -rf "$work"
mkdir -p "$work/bin"
printf '#!/bin/sh\nexit 1\n' > "$work/bin/dpkg-query" # nothing is installed
for tool in apt-get sudo; do
  printf '#!/bin/sh\ntouch "%s/ran"\n' "$work" > "$work/bin/$tool"
done
chmod +x "$work"/bin/*
export PATH=$work/bin:$PATH

# on CODE RELEASE ARGUMENT…: the script's words on such a machine, in $work/said; it must end with CODE.
on() {
  local code=$1 release=$2 status=0
  shift 2
  printf '%b' "$release" > "$work/os-release"
  bash "$source/jobs/install_dependencies.sh" --os-release "$work/os-release" "$@" > "$work/said" 2>&1 || status=$?
  [ "$status" = "$code" ] || fail "on '$release' it ended with $status, not $code: $(cat "$work/said")"
}
says() { grep -qF -- "$1" "$work/said" || fail "it does not say '$1': $(cat "$work/said")"; }

for release in 'ID=debian\nVERSION_ID="12"\n' 'ID=ubuntu\nVERSION_ID="24.04"\n'; do
  on 0 "$release" --dry-run
  says "Would run: apt-get install --no-install-recommends g++ libopenmpi-dev openmpi-bin libhdf5-dev"
  says "libyaml-cpp-dev"
  says "clang-19"
  if grep -qE "nvidia|cudnn|nccl" "$work/said"; then fail "it would install what NVIDIA publishes"; fi
done
on 0 'ID=debian\nVERSION_ID="12"\n' --dry-run --only-build
says "libseccomp-dev"
if grep -qE "gtest|clang-19|slurm" "$work/said"; then fail "it would install what tests need for a build alone"; fi
for release in 'ID=debian\nVERSION_ID="11"\n' 'ID=ubuntu\nVERSION_ID="22.04"\n' 'ID="rocky"\nVERSION_ID="9.4"\n' \
  'ID="sles"\nVERSION_ID="15.6"\n' 'NAME=nobody\n'; do
  on 3 "$release"
  says "Nothing is installed."
  says "apt libhdf5-dev | dnf hdf5-devel | zypper hdf5-devel | Spack hdf5"
  says "optional  loops of the host device"
done
on 2 'ID=debian\nVERSION_ID="12"\n' --nonsense
[ ! -e "$work/ran" ] || fail "something was to be installed"

# Without --dry-run it does install what is missing.
on 0 'ID=debian\nVERSION_ID="12"\n'
[ -e "$work/ran" ] || fail "nothing was installed on a machine that lacks all"
echo "every distribution is told the truth"
