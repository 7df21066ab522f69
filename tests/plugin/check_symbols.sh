#!/bin/sh
# Every plugin given exports exactly the symbol caravan_plugin_v1: anything more could collide with another plugin.
[ $# -gt 0 ] || { echo "no plugins given"; exit 1; }
failed=0
for plugin in "$@"; do
  symbols=$(nm -D --defined-only "$plugin" | awk '{ print $NF }') || failed=1
  if [ "$symbols" != caravan_plugin_v1 ]; then
    echo "$plugin exports: $(echo "$symbols" | tr '\n' ' ')"
    failed=1
  fi
done
exit $failed
