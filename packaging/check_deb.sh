#!/usr/bin/env bash
# The .deb as a user of another machine meets it: made, installed into a fresh Debian without anything of the build, and there an account
# without rights trains on two ranks, resumes, looks into the checkpoint and generates; removed, it leaves nothing. Needs root, debootstrap and Debian's packages.
set -euo pipefail

usage() {
  cat << 'END_OF_USAGE'
usage: packaging/check_deb.sh [--build-dir DIR] [--chroot DIR] [--keep] [--help]
  --build-dir DIR  where to build the package (default: build-deb)
  --chroot DIR     where the fresh Debian goes; must not exist yet (default: a temporary folder)
  --keep           leave it there
END_OF_USAGE
}

build_dir=build-deb chroot='' keep=no
while [ $# -gt 0 ]; do
  case "$1" in
    --build-dir | --chroot)
      [ $# -ge 2 ] || { echo "check_deb.sh: $1 needs a value" >&2; exit 2; }
      if [ "$1" = --chroot ]; then chroot=$(realpath -m "$2"); else build_dir=$(realpath -m "$2"); fi
      shift 2
      ;;
    --keep) keep=yes; shift ;;
    --help | -h) usage; exit 0 ;;
    *) echo "check_deb.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
build_dir=$(realpath -m "$build_dir")
fail() { echo "FAILED: $*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail "debootstrap and chroot need root"
command -v debootstrap > /dev/null || fail "no debootstrap. apt-get install debootstrap?"
chroot=${chroot:-$(mktemp -d)/debian}
[ ! -e "$chroot" ] || fail "$chroot is there already. Remove it?"

# shellcheck disable=SC2317 # called by the trap
clean_up() {
  umount "$chroot/dev/shm" "$chroot/proc" 2> "$build_dir/umount.log" || true
  if [ "$keep" = no ]; then rm -rf --one-file-system "$chroot"; fi
}
inside() { chroot "$chroot" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
as_user() { inside setpriv --reuid=caravan --regid=caravan --clear-groups env HOME=/home/caravan "$@"; }
expect() { # expect TEXT COMMAND…: the output of COMMAND contains TEXT
  local text=$1 output
  shift
  output=$("$@" 2>&1) || fail "$* gave: $output"
  [[ $output == *"$text"* ]] || fail "$* lacks '$text': $output"
}

echo "== the package"
bash packaging/container/build_deb.sh --build-dir "$build_dir" > "$build_dir.log" 2>&1 || { tail -n 30 "$build_dir.log" >&2; fail "building the package"; }
dpkg-deb --info "$build_dir/caravan.deb" | sed -n '/Package:/,$p'
echo "== a fresh Debian in $chroot"
trap clean_up EXIT
# Only the base, and what dpkg itself asks for: whatever caravan needs, its package must bring.
debootstrap --variant=minbase bookworm "$chroot" > "$build_dir/debootstrap.log" 2>&1 || { tail -n 5 "$build_dir/debootstrap.log" >&2; fail debootstrap; }
mount -t proc proc "$chroot/proc"
mkdir -p "$chroot/dev/shm"
mount -t tmpfs tmpfs "$chroot/dev/shm"
cp /etc/resolv.conf "$chroot/etc/"
cp "$build_dir/caravan.deb" "$chroot/root/"
inside sh -c 'apt-get update -q && apt-get install -q -y --no-install-recommends /root/caravan.deb openssh-client' > "$build_dir/apt.log" 2>&1 ||
  { tail -n 20 "$build_dir/apt.log" >&2; fail "installing the package"; }
inside useradd --create-home caravan

echo "== an account without rights uses it"
expect "host, reference" as_user caravan --version
# shellcheck disable=SC2016 # the shell inside expands it
expect "not found: 0" inside sh -c 'count=0; for file in /usr/bin/caravan $(dpkg -L caravan | grep "\.so"); do
  if ldd "$file" | grep "not found"; then count=$((count + 1)); fi; done; echo "not found: $count"'
for file in /usr/share/man/man1/caravan.1 /usr/share/bash-completion/completions/caravan /usr/share/caravan/slurm/run.sh \
  /usr/share/doc/caravan/docs/slurm.md /usr/share/caravan/examples/out_of_tree/CMakeLists.txt; do
  [ -s "$chroot$file" ] || [ -s "$chroot$file.gz" ] || fail "no $file"
done
cat > "$chroot/home/caravan/job.yaml" << 'END_OF_JOB'
device: host
model: {vocab_size: 64, dim: 32, layers: 2, heads: 2, kv_heads: 1, width_multiple_of: 16, experts: 2}
data: {source: synthetic, vocab_size: 64}
train: {steps: 6, sequence_length: 32, local_batch_size: 1, global_batch_size: 2, warmup_steps: 2, log_every: 1}
checkpoint: {every: 3}
END_OF_JOB
ranks=(as_user env --chdir=/home/caravan mpirun --oversubscribe --mca plm isolated -n 2 caravan train job.yaml parallel.data_shard=2 output=run)
expect "step 3/3" "${ranks[@]}" train.steps=3 train.schedule_steps=6
expect "step 6/6" "${ranks[@]}"
expect "step 6" as_user caravan inspect /home/caravan/run
expect "tokens" as_user caravan generate --model /home/caravan/run --prompt-ids "1 2" --max-new-tokens 4 --json

echo "== removed, it leaves nothing"
inside dpkg -r caravan > "$build_dir/remove.log" 2>&1 || fail "removing the package"
left=$(find "$chroot/usr" -path '*caravan*')
[ -z "$left" ] || fail "left behind: $left"
echo "the package installs, trains and goes"
