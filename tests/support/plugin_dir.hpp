#pragma once

#include <string>

namespace caravan::test {

/// The plugins of this build. A function of one source, so that no other source depends on where the build
/// stands, and one compiler cache serves several checkouts.
const std::string& plugin_dir();

}  // namespace caravan::test
