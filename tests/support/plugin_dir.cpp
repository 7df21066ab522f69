#include "tests/support/plugin_dir.hpp"

namespace caravan::test {

const std::string& plugin_dir() {
  static const std::string path = CARAVAN_PLUGIN_DIR;
  return path;
}

}  // namespace caravan::test
