#include <cstdlib>

#include "component.hpp"

namespace {

struct Broken {
  Broken() { std::abort(); }
};
const Broken broken;

}  // namespace

CARAVAN_PLUGIN("crashes-when-opened", "1.0.0", "Apache-2.0", "Broken on purpose",
               caravan::component<caravan::testing::Nothing>());
