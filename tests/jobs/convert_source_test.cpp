#include <gmock/gmock.h>

#include "jobs/convert/source.hpp"
#include "parallel/world.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

/// Two looks at a run may find two steps: here each rank looks at a model of its own.
TEST(AgreedSource, IsWhatRank0FindsWhateverOthersWould) {
  const auto world = parallel::make_world_communicator();
  const TemporaryFolder folder;
  const std::string mine = folder.file(world->rank() == 0 ? "first.safetensors" : "other.safetensors");
  spill(mine, "");

  const std::string agreed = jobs::agreed_source(mine, *world);

  EXPECT_THAT(agreed, ::testing::EndsWith("first.safetensors"));
  world->barrier();
}

}  // namespace
}  // namespace caravan::test
