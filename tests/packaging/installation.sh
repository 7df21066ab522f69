#!/usr/bin/env bash
# installation.sh BUILD SOURCE WORK: an installation that was moved since, as another account uses it: complete, nothing of it points into
# the build; a job on two ranks runs, the modulefiles work, and the installed example of a plugin is built and found.
set -euo pipefail
build=$1 source=$2 work=$3
# shellcheck source=jobs/launcher.sh
. "$source/jobs/launcher.sh"
set_launcher "$build"

fail() { echo "FAILED: $*" >&2; exit 1; }
expect() { # expect TEXT COMMAND…: the output of COMMAND contains TEXT
  local text=$1 output
  shift
  output=$("$@" 2>&1) || fail "$* gave: $output"
  [[ $output == *"$text"* ]] || fail "$* lacks '$text': $output"
}

rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/first" > "$work/install.log" || { cat "$work/install.log"; fail install; }
mv "$work/first" "$work/prefix"
prefix=$work/prefix caravan=$work/prefix/bin/caravan

for file in share/man/man1/caravan-train.1 share/bash-completion/completions/caravan share/caravan/slurm/run.sh share/caravan/presets/debugmodel.yaml \
  share/caravan/examples/out_of_tree/CMakeLists.txt share/caravan/examples/quickstart.yaml share/doc/caravan/README.md \
  share/doc/caravan/docs/slurm.md share/doc/caravan/docs/peers/torch_step.py share/doc/caravan/LICENSE share/doc/caravan/CITATION.cff share/doc/caravan/SECURITY.md; do
  [ -s "$prefix/$file" ] || fail "the installation lacks $file"
done
mapfile -t binaries < <(find "$prefix" -name '*.so*' -type f; echo "$caravan")
for binary in "${binaries[@]}"; do
  if env -u LD_LIBRARY_PATH ldd "$binary" | grep "not found"; then fail "$binary does not find its libraries"; fi
  if readelf -d "$binary" | grep -E 'R(UN)?PATH' | grep -F -e "$build" -e "$source" -e "$work/first"; then fail "$binary looks for libraries in the build"; fi
done
if grep -rIl --exclude-dir=modulefiles -F -e "$build" -e "$source" "$prefix/lib"*/cmake "$prefix/include" "$prefix/share"; then fail "these files name folders of the build"; fi
echo "complete: ${#binaries[@]} binaries find their libraries"

# Modulefiles: no place is left open, and they lead here although they were filled in for another prefix.
modules=$prefix/share/caravan/modulefiles
if grep -rn '@[A-Z_]*@' "$modules"; then fail "a modulefile has an open place"; fi
modulecmd=${CARAVAN_MODULECMD:-$(find /usr/lib /usr/share/modules /opt -name modulecmd.tcl 2> "$work/find.log" | head -n 1 || true)}
if [ -n "$modulecmd" ] && command -v tclsh > "$work/find.log"; then
  expect "PATH=$prefix/bin:" tclsh "$modulecmd" bash load "$(find "$modules/caravan" -type f ! -name '*.lua')"
  echo "Environment Modules lead to the moved installation"
else
  echo "not run: the modulefile of Environment Modules (neither they nor tclsh are here; CARAVAN_MODULECMD names another modulecmd.tcl)"
fi
if [ -n "${LMOD_CMD:-}" ]; then
  expect "PATH=$prefix/bin:" env MODULEPATH="$modules" "$LMOD_CMD" bash load caravan
  echo "Lmod leads to the moved installation"
else
  echo "not run: the modulefile of Lmod (LMOD_CMD is not set)"
fi

# As another account, where this is root.
as_user=()
mkdir "$work/user"
if [ "$(id -u)" -eq 0 ]; then
  as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups env "HOME=$work/user")
  chown -R 65534:65534 "$work/user"
  "${as_user[@]}" test -x "$caravan" || { echo "$prefix cannot be reached by another account: skipped"; exit 77; }
fi
cd "$work/user"
cat > "$work/job.yaml" << 'END_OF_JOB'
model: {vocab_size: 32, dim: 32, layers: 2, heads: 2, kv_heads: 1, width_multiple_of: 16, experts: 2}
data: {source: synthetic, vocab_size: 32}
train: {steps: 3, sequence_length: 16, warmup_steps: 1, log_every: 1}
checkpoint: {every: 3}
END_OF_JOB
expect "devices " "${as_user[@]}" "$caravan" --version
expect "step 3/3" "${as_user[@]}" "${launcher[@]}" -n 2 "$caravan" train "$work/job.yaml" output="$work/user/run"
expect "step 3" "${as_user[@]}" "$caravan" inspect "$work/user/run"
"${as_user[@]}" cmake -S "$prefix/share/caravan/examples/out_of_tree" -B "$work/user/example" -DCMAKE_PREFIX_PATH="$prefix" > "$work/example.log" 2>&1 ||
  { cat "$work/example.log"; fail "configuring the installed example"; }
"${as_user[@]}" cmake --build "$work/user/example" >> "$work/example.log" 2>&1 || { cat "$work/example.log"; fail "building the installed example"; }
expect "gpipe_reversed" "${as_user[@]}" env CARAVAN_PLUGIN_PATH="$work/user/example" "$caravan" plugins describe schedule/gpipe_reversed
echo "another account trains with it and builds a plugin against it"
