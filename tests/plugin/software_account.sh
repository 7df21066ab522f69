#!/bin/bash
# software_account.sh CARAVAN PLUGIN SUBDIRECTORY: an installation that belongs to one account runs for another, and what a third
# account puts into it does not. Needs root; says so and skips (77) otherwise.
set -euo pipefail
caravan=$1 plugin=$2 subdirectory=$3

if [ "$(id -u)" != 0 ]; then
  echo "only root can be several accounts: skipped"
  exit 77
fi
prefix=$(mktemp -d /tmp/caravan-account-XXXXXX)
trap 'rm -rf "$prefix"' EXIT
chmod 755 "$prefix"
mkdir -p "$prefix/bin" "$prefix/$subdirectory"
cp "$caravan" "$prefix/bin/caravan"
cp "$plugin" "$prefix/$subdirectory/caravan-schedule-1f1b.so"
unset CARAVAN_PLUGIN_PATH CARAVAN_TRUSTED_USERS
software=12345 user=23456 stranger=34567
chown -R "$software:$software" "$prefix"
cd "$prefix"

fail() { echo "FAILED: $*" >&2; exit 1; }
describe() { setpriv --reuid="$user" --regid="$user" --clear-groups "$@" "$prefix/bin/caravan" plugins describe schedule/1f1b 2>&1; }
accept() { # accept WHY [env NAME=VALUE]
  local why=$1 output; shift
  output=$(describe "$@") || fail "$why: $output"
}
refuse() { # refuse WHY TEXT [env NAME=VALUE]
  local why=$1 text=$2 output; shift 2
  ! output=$(describe "$@") || fail "$why: accepted"
  [[ $output == *"$text"* ]] || fail "$why: $output"
}
file=$prefix/$subdirectory/caravan-schedule-1f1b.so

accept "the owner of the executable owns the plugin"
chown "$stranger" "$file"
refuse "a stranger's plugin" "belongs to user $stranger (must be root, user $user, user $software who owns this executable or"
accept "a stranger who is trusted" env CARAVAN_TRUSTED_USERS="nobody,$stranger"
chown "$software" "$file"
chmod o+w "$file"
refuse "a plugin that everybody can write" "can be written by everybody"
chmod o-w "$file"
chmod o+w "$prefix/$subdirectory"
refuse "a folder that everybody can write" "can be written by everybody"
chmod o-w "$prefix/$subdirectory"
mkdir "$prefix/elsewhere"
mv "$file" "$prefix/elsewhere/"
chown "$software" "$prefix/elsewhere"
refuse "the same owner elsewhere" "belongs to user $software (must be root, user $user or" env CARAVAN_PLUGIN_PATH="$prefix/elsewhere"
ln -s "$prefix/elsewhere/caravan-schedule-1f1b.so" "$file"
refuse "a link out of the installation" "is a link out of its folder" env CARAVAN_TRUSTED_USERS="$software"
rm "$file"
cp "$prefix/elsewhere/caravan-schedule-1f1b.so" "$file"
chown "$software" "$file"
chown "$stranger" "$prefix/bin/caravan"
refuse "an executable of another owner" "belongs to user $software (must be root, user $user, user $stranger who owns"
chown 0 "$prefix/bin/caravan"
refuse "an executable of root" "belongs to user $software (must be root, user $user or"
